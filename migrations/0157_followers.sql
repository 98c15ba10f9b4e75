-- Which versions of a group of read tables there are followers for. A rebuild that raises the version of what is served waits for
-- one of the new version to stand by: those of the old version stop when it is served.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.followers (
    group_name text        NOT NULL,
    version    int         NOT NULL,
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (group_name, version)
);
GRANT SELECT ON read.followers TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.followers TO hansard_projector, hansard_worker;
RESET ROLE;
