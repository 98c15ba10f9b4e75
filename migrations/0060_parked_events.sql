-- Events that a group of read tables could not take and went on without, and when each group last moved.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.parked_events (
    group_name  text        NOT NULL,
    is_building bool        NOT NULL,
    position    bigint      NOT NULL,
    topic       text        NOT NULL,
    error       text        NOT NULL,
    parked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_name, is_building, position)
);
COMMENT ON COLUMN read.parked_events.is_building IS 'Parked by a rebuild that has not been swapped in.';
COMMENT ON COLUMN read.parked_events.error IS 'The class of what went wrong; never its words, which may quote the event.';

GRANT SELECT ON read.parked_events TO hansard_app;
GRANT INSERT ON read.parked_events TO hansard_projector, hansard_worker;

ALTER TABLE read.checkpoints ADD COLUMN moved_at timestamptz NOT NULL DEFAULT clock_timestamp();
RESET ROLE;

-- A record that is behind what was told of it (restored to an earlier state) is another record: its id must change, so
-- that cursors of the old one are answered with `record_changed`. Nothing else may change it.
CREATE FUNCTION record.renew(known uuid, told bigint) RETURNS bool
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH renewed AS (
        UPDATE record.head h SET record = gen_random_uuid() WHERE h.record = known AND h.position < told RETURNING 1
    ) SELECT EXISTS (SELECT FROM renewed)
$$;
REVOKE ALL ON FUNCTION record.renew FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.renew TO hansard_projector;
