-- The notary's schema: the tree over the events as tiles, the checkpoints that were signed of it, and the keys that sign.
--
-- It stands beside the record and is made from it alone, but for the signatures. The notary has a log-in of its own, which
-- reads events and writes here and nowhere else; it takes nothing back: checkpoints and keys are added, tiles grow.
-- A checkpoint is of a record's id (its origin). Tiles are not: a record that was restored to an earlier state has another
-- id and begins with the same events.
CREATE SCHEMA notary;

CREATE TABLE notary.tiles (
    level  smallint NOT NULL CHECK (level BETWEEN 0 AND 63),
    number bigint   NOT NULL CHECK (number >= 0),
    hashes bytea    NOT NULL,
    PRIMARY KEY (level, number)
);
ALTER TABLE notary.tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;  -- hashes do not compress
COMMENT ON TABLE notary.tiles IS 'C2SP tlog-tiles, 1 to 256 hashes of 32 bytes each; at level 0 the entries instead of their leaf hashes.';

CREATE TABLE notary.checkpoints (
    origin    text        NOT NULL,
    size      bigint      NOT NULL CHECK (size > 0),
    note      text        NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (origin, size)
);
COMMENT ON COLUMN notary.checkpoints.note IS 'The signed note, as it is given out.';

CREATE TABLE notary.keys (
    vkey    text        PRIMARY KEY,
    origin  text        NOT NULL,
    made_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT USAGE ON SCHEMA notary TO hansard_notary, hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON notary.tiles TO hansard_notary;
GRANT SELECT, INSERT ON notary.checkpoints, notary.keys TO hansard_notary;
GRANT SELECT ON ALL TABLES IN SCHEMA notary TO hansard_gateway;
