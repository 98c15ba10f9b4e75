-- Rebuilds as operations: who asked for which, how far it is, and what came of it. The request itself is an event on the record
-- (`rebuild.asked`) if it came over HTTP; this is what the worker that runs it writes, and may be lost.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.rebuilds (
    id             uuid        PRIMARY KEY,
    group_name     text        NOT NULL,
    version        int         NOT NULL,
    is_shadow      bool        NOT NULL,
    asked_by       uuid,
    is_by_hand     bool        NOT NULL DEFAULT false,
    asked_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    state          text        NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed')),
    run_by         text,
    began_at       timestamptz,
    heard_at       timestamptz,
    ended_at       timestamptz,
    began_position bigint      NOT NULL DEFAULT 0,
    position       bigint      NOT NULL DEFAULT 0,
    total          bigint      NOT NULL DEFAULT 0,
    seconds        float8      NOT NULL DEFAULT 0,
    doing          text        NOT NULL DEFAULT '',
    outcome        text        NOT NULL DEFAULT '[]',
    fault          text
);
COMMENT ON COLUMN read.rebuilds.asked_by IS 'The administrator; null: the command line, or a release that raised the version.';
COMMENT ON COLUMN read.rebuilds.is_by_hand IS 'At the command line: no worker goes on with it.';
COMMENT ON COLUMN read.rebuilds.outcome IS 'JSON: how each table compares; texts of rows are not in it.';
CREATE UNIQUE INDEX rebuilds_under_way ON read.rebuilds (group_name, version) WHERE state IN ('queued', 'running');
CREATE INDEX rebuilds_by_time ON read.rebuilds (asked_at);

GRANT SELECT, INSERT ON read.rebuilds TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON read.rebuilds TO hansard_worker;
RESET ROLE;
