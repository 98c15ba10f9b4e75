-- What a rebuild is building (`<table>__next…`), so that the next one goes on where one was killed: the suffix of the tables, the
-- position up to which they hold the record, and of which code and which record they are. Only the run whose `epoch` stands here
-- may write to them.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.building_tables (
    group_name text        PRIMARY KEY,
    suffix     text        NOT NULL,
    version    int         NOT NULL,
    code       text        NOT NULL,
    record     uuid        NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    epoch      bigint      NOT NULL DEFAULT 0,
    began_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE read.kept_tables ADD COLUMN epoch bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN read.kept_tables.epoch IS 'Of the rollback that brings them up to the record; another one writes nothing.';
GRANT SELECT ON read.building_tables TO hansard_gateway, hansard_worker;
RESET ROLE;
