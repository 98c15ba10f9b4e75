-- The clock is judged where it is used: it may leap while an append waits for its turn.
CREATE FUNCTION record.believe(at timestamptz, latest timestamptz) RETURNS timestamptz
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF at > latest THEN
        RAISE EXCEPTION 'the clock has leapt' USING ERRCODE = 'HC001';
    END IF;
    RETURN at;
END $$;
COMMENT ON FUNCTION record.believe IS 'Return a time, or end the statement and all that it wrote where it is later than may be.';
REVOKE EXECUTE ON FUNCTION record.believe FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.believe TO hansard_gateway, hansard_worker;
