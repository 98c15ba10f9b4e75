-- Appending as in 0080, with fewer queries. Where little is said each message is a batch, and finds caches cold: then each query costs
-- several times what it does in a full batch.
--
-- The head is read once, with the versions, and not before, during and after. One query finds what to tell, and whether anybody waits;
-- only then the queue is served. If all commands fit, their events are inserted as they stand. Plans are generic: Postgres would
-- plan the insert anew each time, since it knows how many rows are in an array, and thinks that worth a plan.

-- Append a batch of commands, as in 0080. Its callers pin the search path and how it is planned.
CREATE OR REPLACE FUNCTION record.write(
    x_command int[], x_stream uuid[], x_version int[],
    e_command int[], e_stream uuid[], e_version int[], e_topic text[], e_data bytea[], e_meta bytea[], e_room uuid[],
    c_command int[], c_kind text[], c_digest bytea[], c_stream uuid[],
    r_command int[], r_digest bytea[], r_request bytea[]
) RETURNS record.answer[]
LANGUAGE plpgsql AS $$
DECLARE
    base bigint;
    clock timestamptz;
    refused int[] := '{}';
    taken int[] := '{}';
    spent int[] := '{}';
    answers record.answer[];
BEGIN
    SELECT coalesce(last.position, 0), greatest(clock_timestamp(), coalesce(last.recorded_at, i.made_at)), ARRAY(
        SELECT DISTINCT x.command FROM unnest(x_command, x_stream, x_version) x (command, stream, version)
        WHERE x.version <> coalesce((
            SELECT e.version FROM record.events e WHERE e.stream = x.stream ORDER BY e.version DESC LIMIT 1
        ), 0)
    ) INTO STRICT base, clock, refused
    FROM record.identity i
    LEFT JOIN (SELECT e.position, e.recorded_at FROM record.events e ORDER BY e.position DESC LIMIT 1) last ON true;
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

    IF refused = '{}' AND taken = '{}' AND spent = '{}' THEN
        INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
        SELECT base + e.i, e.stream, e.version, e.topic, e.data, e.meta, e.room, clock
        FROM unnest(e_stream, e_version, e_topic, e_data, e_meta, e_room)
            WITH ORDINALITY e (stream, version, topic, data, meta, room, i);
        IF cardinality(e_command) > 0 AND e_command[1] = ALL (e_command) THEN
            answers := ARRAY[(e_command[1], 0, base + 1, base + cardinality(e_command), clock, NULL)::record.answer];
        ELSE
            answers := ARRAY(
                SELECT (e.command, 0, base + min(e.i), base + max(e.i), clock, NULL)::record.answer
                FROM unnest(e_command) WITH ORDINALITY e (command, i) GROUP BY e.command
            );
        END IF;
    ELSE
        WITH given AS (
            SELECT e.command, e.stream, e.version, e.topic, e.data, e.meta, e.room, base + row_number() OVER (ORDER BY e.i) AS position
            FROM unnest(e_command, e_stream, e_version, e_topic, e_data, e_meta, e_room)
                WITH ORDINALITY e (command, stream, version, topic, data, meta, room, i)
            WHERE NOT (e.command = ANY (refused) OR e.command = ANY (taken) OR e.command = ANY (spent))
        ), kept AS (
            INSERT INTO record.events (position, stream, version, topic, data, meta, room_id, recorded_at)
            SELECT g.position, g.stream, g.version, g.topic, g.data, g.meta, g.room, clock FROM given g ORDER BY g.position
        )
        SELECT coalesce(array_agg((a.command, 0, a.first, a.last, clock, NULL)::record.answer), '{}') INTO answers
        FROM (SELECT g.command, min(g.position) AS first, max(g.position) AS last FROM given g GROUP BY g.command) a;
    END IF;

    -- The claims and receipts of those just appended.
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
    IF cardinality(r_command) > 0 THEN
        INSERT INTO record.receipts (digest, request, first, last, created_at)
        SELECT r.digest, r.request, a.first, a.last, clock
        FROM unnest(r_command, r_digest, r_request) r (command, digest, request)
        JOIN unnest(answers) a ON a.command = r.command;
    END IF;

    IF cardinality(spent) > 0 THEN
        answers := answers || ARRAY(
            SELECT (r.command, 3, kept.first, kept.last, kept.created_at, encode(kept.request, 'hex'))::record.answer
            FROM unnest(r_command, r_digest) r (command, digest) JOIN record.receipts kept ON kept.digest = r.digest
            WHERE r.command = ANY (spent)
        );
    END IF;
    IF cardinality(refused) > 0 THEN
        answers := answers || ARRAY(
            SELECT (u.command, 1, NULL, NULL, NULL, NULL)::record.answer
            FROM unnest(refused) u (command) WHERE NOT u.command = ANY (spent)
        );
    END IF;
    IF cardinality(taken) > 0 THEN
        answers := answers || ARRAY(
            SELECT DISTINCT ON (c.command) (c.command, 2, NULL, NULL, NULL, c.kind)::record.answer
            FROM unnest(c_command, c_kind, c_digest, c_stream) WITH ORDINALITY c (command, kind, digest, stream, i)
            JOIN record.claims held ON held.kind = c.kind AND held.digest = c.digest AND held.stream <> c.stream
            WHERE c.command = ANY (taken) AND NOT (c.command = ANY (spent) OR c.command = ANY (refused))
            ORDER BY c.command, c.i
        );
    END IF;
    RETURN answers;
END $$;

-- The first half of record.append_in_turn, as in 0080. Whoever queues a batch after this has looked takes a turn of its own.
CREATE OR REPLACE FUNCTION record.append_or_queue(
    ticket uuid, latest timestamptz,
    x_command int[], x_stream uuid[], x_version int[],
    e_command int[], e_stream uuid[], e_version int[], e_topic text[], e_data bytea[], e_meta bytea[], e_room uuid[],
    c_command int[], c_kind text[], c_digest bytea[], c_stream uuid[],
    r_command int[], r_digest bytea[], r_request bytea[]
) RETURNS record.answer[]
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    nearby CONSTANT bigint := 128;  -- as in record.serve_queue
    last bigint;
    somebody_waits bool;
    answers record.answer[];
BEGIN
    BEGIN
        LOCK TABLE record.append_lock IN EXCLUSIVE MODE NOWAIT;
    EXCEPTION WHEN lock_not_available THEN
        INSERT INTO record.queued_batches (
            ticket, latest, size, x_command, x_stream, x_version, e_command, e_stream, e_version, e_topic, e_data, e_meta,
            e_room, c_command, c_kind, c_digest, c_stream, r_command, r_digest, r_request
        ) VALUES (
            ticket, latest, pg_column_size(e_data) + pg_column_size(e_meta), x_command, x_stream, x_version,
            e_command, e_stream, e_version, e_topic, e_data, e_meta, e_room, c_command, c_kind, c_digest, c_stream,
            r_command, r_digest, r_request
        );
        RETURN NULL;
    END;
    IF clock_timestamp() > latest THEN
        RETURN '{}';
    END IF;
    answers := record.write(
        x_command, x_stream, x_version, e_command, e_stream, e_version, e_topic, e_data, e_meta, e_room,
        c_command, c_kind, c_digest, c_stream, r_command, r_digest, r_request
    );
    SELECT max(a.last) FILTER (WHERE a.outcome = 0), EXISTS (
        SELECT FROM record.queued_batches b
        WHERE b.number > (SELECT s.last_value FROM record.queued_batches_number_seq s) - nearby AND b.answers IS NULL
    ) INTO last, somebody_waits FROM unnest(answers) a;
    IF somebody_waits THEN
        PERFORM record.serve_queue();
        PERFORM record.tell_head(coalesce((SELECT min(a.first) FROM unnest(answers) a WHERE a.outcome = 0) - 1, 0));
    ELSIF last IS NOT NULL THEN
        PERFORM pg_notify('hansard_record', last::text);
    END IF;
    RETURN answers;
END $$;

-- As in 0080.
CREATE OR REPLACE FUNCTION record.append(
    commands int,
    x_command int[], x_stream uuid[], x_version int[],
    e_command int[], e_stream uuid[], e_version int[], e_topic text[], e_data bytea[], e_meta bytea[], e_room uuid[],
    c_command int[], c_kind text[], c_digest bytea[], c_stream uuid[],
    r_command int[], r_digest bytea[], r_request bytea[]
) RETURNS TABLE (command int, outcome int, first bigint, last bigint, at timestamptz, detail text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_variable
DECLARE
    before bigint;
    answers record.answer[];
BEGIN
    LOCK TABLE record.append_lock IN EXCLUSIVE MODE;
    before := (SELECT h.position FROM record.head h);
    answers := record.write(
        x_command, x_stream, x_version, e_command, e_stream, e_version, e_topic, e_data, e_meta, e_room,
        c_command, c_kind, c_digest, c_stream, r_command, r_digest, r_request
    );
    PERFORM record.tell_head(before);
    RETURN QUERY SELECT a.* FROM unnest(answers) a;
END $$;
