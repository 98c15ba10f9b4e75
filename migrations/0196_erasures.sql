-- Whose data is erased or to be erased, and how far that is.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.erasures (
    id                 uuid        PRIMARY KEY,
    user_id            uuid        NOT NULL,
    requested_at       timestamptz NOT NULL,
    requested_position bigint      NOT NULL,
    held_by            text        NOT NULL,
    completed_at       timestamptz,
    completed_position bigint,
    awaits_approval    bool        NOT NULL,
    is_cancelled       bool        NOT NULL
);
CREATE INDEX erasures_unfinished ON read.erasures (requested_position) WHERE completed_at IS NULL AND NOT is_cancelled;
COMMENT ON COLUMN read.erasures.held_by IS 'The ids of the legal holds that it waits for, with spaces between.';
GRANT SELECT ON read.erasures TO hansard_gateway, hansard_worker;
GRANT SELECT, INSERT, UPDATE ON read.erasures TO hansard_projector;

-- Rows of somebody who is erased are taken away where nothing is left to be said in them.
GRANT DELETE ON read.push_subscriptions, read.file_variants TO hansard_projector;
GRANT DELETE ON
    read.notifications, read.notification_settings, read.notification_threads, read.notification_blocks,
    read.notification_inboxes TO hansard_notifier;
-- What is to be erased is looked for by the worker.
GRANT SELECT ON read.message_reactions TO hansard_worker;
RESET ROLE;

-- Destroy data keys, for ever; how many were not destroyed before. The erasure's events, which name them, are recorded first.
CREATE FUNCTION vault.destroy_keys(key_ids uuid[]) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH short_cuts AS (
        DELETE FROM record.snapshots s WHERE s.key_id = ANY (key_ids)
    ), gone AS (
        UPDATE vault.data_keys k SET wrapped = NULL WHERE k.key_id = ANY (key_ids) AND k.wrapped IS NOT NULL RETURNING 1
    ) SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION vault.destroy_keys FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.destroy_keys TO hansard_worker;
