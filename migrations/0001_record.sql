-- The record: one append-only log of events, and what is written in the same transactions.
--
-- Positions are 1, 2, 3, … without a hole: they are drawn under the lock of the head's row, and a batch becomes visible
-- before the next one can draw. The processes run as hansard_app, which may read the log and call record.append, and
-- nothing else; UPDATE, DELETE and TRUNCATE are refused to everybody by triggers.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'hansard_app') THEN
        CREATE ROLE hansard_app NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'The migrating user may not create roles: create the role hansard_app (NOLOGIN) first, and grant it to that user.';
END $$;

DO $$
BEGIN
    IF NOT pg_has_role(current_user, 'hansard_app', 'MEMBER') THEN
        EXECUTE format('GRANT hansard_app TO %I', current_user);
    END IF;
END $$;

CREATE SCHEMA record;
CREATE SCHEMA vault;
CREATE SCHEMA read;

CREATE TABLE record.events (
    position    bigint      PRIMARY KEY,
    stream      uuid        NOT NULL,
    version     int         NOT NULL,
    topic       text        NOT NULL,
    data        bytea       NOT NULL,
    meta        bytea       NOT NULL,
    room_id     uuid,
    recorded_at timestamptz NOT NULL,
    UNIQUE (stream, version)
);
CREATE INDEX events_of_room ON record.events (room_id, position) WHERE room_id IS NOT NULL;
COMMENT ON COLUMN record.events.room_id IS 'The room in which the event is told; null: no room hears it.';

-- One row: the record's id, the last position, and the greatest time ever recorded.
CREATE TABLE record.head (
    one_row     bool        PRIMARY KEY DEFAULT true CHECK (one_row),
    record      uuid        NOT NULL DEFAULT gen_random_uuid(),
    position    bigint      NOT NULL DEFAULT 0,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO record.head DEFAULT VALUES;

-- Who holds an e-mail or a username: keyed hashes, so the table tells nothing.
CREATE TABLE record.claims (
    kind   text  NOT NULL,
    digest bytea NOT NULL,
    stream uuid  NOT NULL,
    PRIMARY KEY (kind, digest)
);

-- What an Idempotency-Key wrote; kept for a day.
CREATE TABLE record.receipts (
    digest     bytea       PRIMARY KEY,
    request    bytea       NOT NULL,
    first      bigint      NOT NULL,
    last       bigint      NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX receipts_by_age ON record.receipts (created_at);

CREATE FUNCTION record.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'The record is append-only: % on % is refused.', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON record.events FOR EACH ROW EXECUTE FUNCTION record.refuse();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON record.events FOR EACH STATEMENT EXECUTE FUNCTION record.refuse();
CREATE TRIGGER no_loss BEFORE DELETE ON record.head FOR EACH ROW EXECUTE FUNCTION record.refuse();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON record.head FOR EACH STATEMENT EXECUTE FUNCTION record.refuse();

-- Append a batch of commands (numbered 1 … commands), each judged alone:
--   outcome 0 appended (first, last: its positions) · 1 conflicted: a stream is not at the version expected
--         · 2 claim taken (detail: its kind) · 3 receipt found (first, last: then written; detail: hex of the request's digest)
-- x_: the versions that must hold, of written streams and guards alike. e_: events in order. c_: claims (stream null:
-- release). r_: receipts. Within a batch no stream, claim or receipt may be written by one command and touched by
-- another: the caller sorts that out.
CREATE FUNCTION record.append(
    commands int,
    x_command int[], x_stream uuid[], x_version int[],
    e_command int[], e_stream uuid[], e_version int[], e_topic text[], e_data bytea[], e_meta bytea[], e_room uuid[],
    c_command int[], c_kind text[], c_digest bytea[], c_stream uuid[],
    r_command int[], r_digest bytea[], r_request bytea[]
) RETURNS TABLE (command int, outcome int, first bigint, last bigint, at timestamptz, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    base bigint;
    clock timestamptz;
    refused int[] := '{}';
    taken int[] := '{}';
    spent int[] := '{}';
    written bigint;
BEGIN
    -- Lock, then read: every later statement's snapshot is taken after the lock.
    SELECT h.position, greatest(clock_timestamp(), h.recorded_at) INTO STRICT base, clock FROM record.head h FOR UPDATE;

    SELECT coalesce(array_agg(DISTINCT x.command), '{}') INTO refused
    FROM unnest(x_command, x_stream, x_version) x (command, stream, version)
    JOIN (
        SELECT s.stream, coalesce((
            SELECT e.version FROM record.events e WHERE e.stream = s.stream ORDER BY e.version DESC LIMIT 1
        ), 0) AS version
        FROM (SELECT DISTINCT u.stream FROM unnest(x_stream) u (stream)) s
    ) now ON now.stream = x.stream AND now.version <> x.version;

    IF cardinality(c_command) > 0 THEN
        SELECT coalesce(array_agg(DISTINCT c.command), '{}') INTO taken
        FROM unnest(c_command, c_kind, c_digest, c_stream) c (command, kind, digest, stream)
        JOIN record.claims held ON held.kind = c.kind AND held.digest = c.digest
        WHERE c.stream IS NOT NULL AND held.stream <> c.stream;
    END IF;
    IF cardinality(r_command) > 0 THEN
        SELECT coalesce(array_agg(r.command), '{}') INTO spent
        FROM unnest(r_command, r_digest) r (command, digest) JOIN record.receipts kept ON kept.digest = r.digest;
    END IF;

    RETURN QUERY
    WITH given AS (
        SELECT e.command, e.stream, e.version, e.topic, e.data, e.meta, e.room, base + row_number() OVER (ORDER BY e.i) AS position
        FROM unnest(e_command, e_stream, e_version, e_topic, e_data, e_meta, e_room)
            WITH ORDINALITY e (command, stream, version, topic, data, meta, room, i)
        WHERE NOT (e.command = ANY (refused) OR e.command = ANY (taken) OR e.command = ANY (spent))
    ), kept AS (
        INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
        SELECT g.position, g.stream, g.version, g.topic, g.data, g.meta, g.room, clock FROM given g ORDER BY g.position
    )
    SELECT g.command, 0, min(g.position), max(g.position), clock, NULL::text FROM given g GROUP BY g.command;
    GET DIAGNOSTICS written = ROW_COUNT;

    IF cardinality(spent) > 0 THEN
        RETURN QUERY
        SELECT r.command, 3, kept.first, kept.last, kept.created_at, encode(kept.request, 'hex')
        FROM unnest(r_command, r_digest) r (command, digest) JOIN record.receipts kept ON kept.digest = r.digest;
    END IF;
    IF cardinality(refused) > 0 THEN
        RETURN QUERY
        SELECT u.command, 1, NULL::bigint, NULL::bigint, NULL::timestamptz, NULL::text
        FROM unnest(refused) u (command) WHERE NOT u.command = ANY (spent);
    END IF;
    IF cardinality(taken) > 0 THEN
        RETURN QUERY
        SELECT DISTINCT ON (c.command) c.command, 2, NULL::bigint, NULL::bigint, NULL::timestamptz, c.kind
        FROM unnest(c_command, c_kind, c_digest, c_stream) WITH ORDINALITY c (command, kind, digest, stream, i)
        JOIN record.claims held ON held.kind = c.kind AND held.digest = c.digest AND held.stream <> c.stream
        WHERE c.command = ANY (taken) AND NOT (c.command = ANY (spent) OR c.command = ANY (refused))
        ORDER BY c.command, c.i;
    END IF;

    IF written = 0 THEN
        RETURN;
    END IF;
    IF cardinality(c_command) > 0 THEN
        DELETE FROM record.claims held USING unnest(c_command, c_kind, c_digest, c_stream) c (command, kind, digest, stream)
        WHERE held.kind = c.kind AND held.digest = c.digest AND c.stream IS NULL
            AND NOT (c.command = ANY (refused) OR c.command = ANY (taken) OR c.command = ANY (spent));
        INSERT INTO record.claims (kind, digest, stream)
        SELECT c.kind, c.digest, c.stream FROM unnest(c_command, c_kind, c_digest, c_stream) c (command, kind, digest, stream)
        WHERE c.stream IS NOT NULL
            AND NOT (c.command = ANY (refused) OR c.command = ANY (taken) OR c.command = ANY (spent))
        ON CONFLICT DO NOTHING;
    END IF;
    -- The events just written are those after base.
    IF cardinality(r_command) > 0 THEN
        INSERT INTO record.receipts (digest, request, first, last, created_at)
        SELECT r.digest, r.request, p.first, p.last, clock
        FROM unnest(r_command, r_digest, r_request) r (command, digest, request)
        JOIN (
            SELECT e.command, min(base + e.rank) AS first, max(base + e.rank) AS last
            FROM (
                SELECT e.command, row_number() OVER (ORDER BY e.i) AS rank
                FROM unnest(e_command) WITH ORDINALITY e (command, i)
                WHERE NOT (e.command = ANY (refused) OR e.command = ANY (taken) OR e.command = ANY (spent))
            ) e GROUP BY e.command
        ) p ON p.command = r.command;
    END IF;
    UPDATE record.head h SET
        position = base + (
            SELECT count(*) FROM unnest(e_command) e (command)
            WHERE NOT (e.command = ANY (refused) OR e.command = ANY (taken) OR e.command = ANY (spent))
        ),
        recorded_at = clock
    RETURNING h.position INTO base;
    PERFORM pg_notify('hansard_record', base::text);
END $$;

-- Forget receipts older than their day; how many were forgotten.
CREATE FUNCTION record.forget_receipts(hours int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH gone AS (
        DELETE FROM record.receipts r WHERE r.created_at < clock_timestamp() - make_interval(hours => hours) RETURNING 1
    ) SELECT count(*) FROM gone
$$;

-- Data keys, wrapped by the master key; of a schema of their own, so that they can be backed up apart.
CREATE TABLE vault.data_keys (
    key_id     uuid        PRIMARY KEY,
    subject    uuid        NOT NULL,
    room_id    uuid,
    day        date        NOT NULL,
    wrapped    bytea,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX data_keys_of_subject ON vault.data_keys (subject);
COMMENT ON COLUMN vault.data_keys.wrapped IS 'AES-256-GCM under the master key (nonce first); null: destroyed, for ever.';

-- Keys that sign access tokens, the private part wrapped by the master key.
CREATE TABLE vault.signing_keys (
    kid        text        PRIMARY KEY,
    wrapped    bytea       NOT NULL,
    public     bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    retired_at timestamptz
);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA record FROM PUBLIC;
GRANT USAGE ON SCHEMA record, vault TO hansard_app;
GRANT SELECT ON ALL TABLES IN SCHEMA record TO hansard_app;
GRANT EXECUTE ON FUNCTION record.append, record.forget_receipts TO hansard_app;
GRANT SELECT, INSERT ON vault.data_keys, vault.signing_keys TO hansard_app;
-- Read tables are dropped, rebuilt and swapped by the processes themselves.
GRANT USAGE, CREATE ON SCHEMA read TO hansard_app;
