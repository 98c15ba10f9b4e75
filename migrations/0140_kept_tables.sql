-- What a rebuild replaced (`<table>__old`), so that `hansard rebuild NAME --rollback` can bring it up to the record and serve it
-- again: the version of the tables, the position up to which they are true, and the events that they go without. Tables that
-- were replaced before this migration are not noted, and cannot be served again.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.kept_tables (
    group_name text        PRIMARY KEY,
    version    int         NOT NULL,
    position   bigint      NOT NULL,
    kept_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE read.kept_parked_events (
    group_name text        NOT NULL,
    position   bigint      NOT NULL,
    topic      text        NOT NULL,
    error      text        NOT NULL,
    parked_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_name, position)
);
RESET ROLE;
