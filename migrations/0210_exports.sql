-- Exports: how far each is, its finished parts, and where its package is. What was asked for and handed out are events on the
-- record (`export.requested`, …); this is what the worker that makes it writes.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.exports (
    id             uuid        PRIMARY KEY,
    requested_by   uuid        NOT NULL,
    requested_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    request        text        NOT NULL,
    state          text        NOT NULL DEFAULT 'queued'
                               CHECK (state IN ('awaiting_approval', 'queued', 'running', 'completed', 'cancelled', 'failed', 'expired')),
    run_by         text,
    heard_at       timestamptz,
    ended_at       timestamptz,
    progress       float8      NOT NULL DEFAULT 0,
    messages       bigint      NOT NULL DEFAULT 0,
    storage_path   text        NOT NULL DEFAULT '',
    size_bytes     bigint      NOT NULL DEFAULT 0,
    sha256         text        NOT NULL DEFAULT '',
    content_sha256 text        NOT NULL DEFAULT '',
    erased         bigint      NOT NULL DEFAULT 0,
    fault          text,
    expires_at     timestamptz
);
COMMENT ON COLUMN read.exports.request IS 'JSON: the event export.requested, of which the package is a function.';
COMMENT ON COLUMN read.exports.storage_path IS 'Of the package; empty while there is none. It is given out once the state is completed.';
CREATE INDEX exports_under_way ON read.exports (requested_at) WHERE state IN ('awaiting_approval', 'queued', 'running');
CREATE INDEX exports_by_time ON read.exports (requested_at DESC, id);
CREATE INDEX exports_expiring ON read.exports (expires_at) WHERE state = 'completed';
CREATE INDEX exports_stored ON read.exports (storage_path) WHERE storage_path <> '';

-- A part is a stretch of the package that is finished. Whoever goes on with an export begins behind its last part.
CREATE TABLE read.export_parts (
    export_id    uuid   NOT NULL,
    number       int    NOT NULL,
    storage_path text   NOT NULL,
    place        text   NOT NULL,
    counts       text   NOT NULL,
    lengths      text   NOT NULL,
    PRIMARY KEY (export_id, number)
);
COMMENT ON COLUMN read.export_parts.place IS 'JSON: how far the record was read for this part.';
CREATE INDEX export_parts_stored ON read.export_parts (storage_path);

GRANT SELECT, INSERT, UPDATE ON read.exports TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON read.exports, read.export_parts TO hansard_worker;
RESET ROLE;

-- The worker proves each message in the package, from the notary's tiles.
GRANT USAGE ON SCHEMA notary TO hansard_worker;
GRANT SELECT ON notary.tiles, notary.checkpoints, notary.keys TO hansard_worker;
