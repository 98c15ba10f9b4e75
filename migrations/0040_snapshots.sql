-- Snapshots: what long streams fold to, so that a process that meets one reads its end and not all of it. Whatever stands
-- here can be dropped and comes back from the events; `fold` is the version of the code that folded. A state that holds
-- what is personal is sealed under a data key of its subject (key_id), as its events are.
CREATE TABLE record.snapshots (
    stream      uuid        NOT NULL,
    fold        int         NOT NULL,
    version     int         NOT NULL,
    position    bigint      NOT NULL,
    recorded_at timestamptz NOT NULL,
    key_id      uuid,
    state       bytea       NOT NULL,
    PRIMARY KEY (stream, fold)
);
COMMENT ON COLUMN record.snapshots.version IS 'That of the last event folded; position and recorded_at are its too.';
GRANT SELECT, INSERT, UPDATE ON record.snapshots TO hansard_app;

-- Forget receipts older than their day, at most so many at once: a backlog of millions must not run into a time-out.
DROP FUNCTION record.forget_receipts(int);
CREATE FUNCTION record.forget_receipts(hours int, at_most int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH old AS (
        SELECT r.digest FROM record.receipts r WHERE r.created_at < clock_timestamp() - make_interval(hours => hours)
        ORDER BY r.created_at LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM record.receipts r USING old WHERE r.digest = old.digest RETURNING 1
    ) SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION record.forget_receipts(int, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION record.forget_receipts(int, int) TO hansard_app;
