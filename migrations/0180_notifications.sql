-- Inboxes: who was told of what, and the facts that decide it, as they were at the position of each event. A group of read
-- tables of its own, which the notifier follows: nothing waits for it. What decides is kept beside the inbox, because it must be
-- that of the event's position and not that of whenever somebody looks (`projections/notification_audience.py`).
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.notifications (
    account_id uuid        NOT NULL,
    position   bigint      NOT NULL,
    kind       text        NOT NULL,
    room_id    uuid,
    message_id uuid,
    file_id    uuid,
    actor_id   uuid,
    at         timestamptz NOT NULL,
    is_here    bool        NOT NULL,
    thread_id     uuid,
    root_position bigint,
    in_room       bool     NOT NULL,
    PRIMARY KEY (account_id, position)
);
CREATE INDEX notifications_in_order ON read.notifications (position, account_id);
COMMENT ON COLUMN read.notifications.kind IS 'What of; `room` is for those who follow a room: they are told, and their inbox does not show it.';
COMMENT ON COLUMN read.notifications.in_room IS 'Who reads the room has read it; of a reply that only its thread shows it is false.';
COMMENT ON COLUMN read.notifications.is_here IS 'Only @here names the person: they are told if they are here.';

CREATE TABLE read.notification_settings (
    user_id  uuid PRIMARY KEY,
    settings text NOT NULL,
    watches  bool NOT NULL
);
CREATE INDEX notification_watchers ON read.notification_settings (user_id) WHERE watches;
COMMENT ON COLUMN read.notification_settings.settings IS 'All of them, as JSON.';
COMMENT ON COLUMN read.notification_settings.watches IS 'Whether posts that do not name the person may be told to them.';

CREATE TABLE read.notification_members (
    room_id   uuid NOT NULL,
    user_id   uuid NOT NULL,
    is_member bool NOT NULL,
    is_direct bool NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

CREATE TABLE read.notification_threads (
    thread_id uuid NOT NULL,
    user_id   uuid NOT NULL,
    follows   bool NOT NULL,
    PRIMARY KEY (thread_id, user_id)
);

CREATE TABLE read.notification_blocks (
    blocked_id uuid NOT NULL,
    user_id    uuid NOT NULL,
    blocked    bool NOT NULL,
    PRIMARY KEY (blocked_id, user_id)
);

CREATE TABLE read.notification_inboxes (
    user_id       uuid   PRIMARY KEY,
    read_position bigint NOT NULL
);

GRANT SELECT ON
    read.notifications, read.notification_settings, read.notification_members, read.notification_threads,
    read.notification_blocks, read.notification_inboxes TO hansard_gateway, hansard_notifier;
GRANT INSERT, UPDATE ON
    read.notifications, read.notification_settings, read.notification_members, read.notification_threads,
    read.notification_blocks, read.notification_inboxes TO hansard_notifier;

-- What the notifier looks at when it tells: whether it was read or deleted meanwhile, and what is shown to those who want it.
GRANT SELECT ON read.users, read.rooms, read.room_members, read.messages, read.thread_followers TO hansard_notifier;
GRANT INSERT ON read.parked_events TO hansard_notifier;
GRANT INSERT, UPDATE ON read.checkpoints TO hansard_notifier;
ALTER POLICY moved_by_projector ON read.checkpoints
    USING (name NOT IN ('message_html', 'audit_index', 'past', 'notifications'))
    WITH CHECK (name NOT IN ('message_html', 'audit_index', 'past', 'notifications'));
CREATE POLICY moved_by_notifier ON read.checkpoints TO hansard_notifier
    USING (name = 'notifications') WITH CHECK (name = 'notifications');
RESET ROLE;

-- The notifier appends what becomes of a device that is gone, and opens what it tells.
GRANT USAGE ON SCHEMA vault TO hansard_notifier;
GRANT SELECT, INSERT ON vault.data_keys, vault.master_check TO hansard_notifier;
GRANT SELECT, INSERT ON record.made_keys TO hansard_notifier;
GRANT SELECT, INSERT, UPDATE ON record.snapshots TO hansard_notifier;
GRANT EXECUTE ON FUNCTION
    record.append, record.append_or_queue, record.await_commit, record.answer_queued, record.withdraw TO hansard_notifier;
GRANT EXECUTE ON PROCEDURE record.append_in_turn TO hansard_notifier;
GRANT SELECT ON record.claims TO hansard_notifier;  -- keyed hashes: whether a value is taken
