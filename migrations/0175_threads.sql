-- Threads: replies to a message. A reply that is not shown in the room is in no page of it and not among its unread messages, so
-- the index of what the room shows is without it; an index of their own holds the replies of each thread.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.threads (
    root_position     bigint NOT NULL PRIMARY KEY,
    reply_count       int    NOT NULL,
    last_reply_at     timestamptz,
    participants      text,
    participant_count int    NOT NULL
);
COMMENT ON COLUMN read.threads.participants IS 'The ids of the first of those by whom there are replies, with spaces between.';
CREATE TABLE read.thread_followers (
    root_position bigint NOT NULL,
    user_id       uuid   NOT NULL,
    room_id       uuid   NOT NULL,
    thread_id     uuid   NOT NULL,
    following     bool   NOT NULL,
    read_position bigint NOT NULL,
    PRIMARY KEY (root_position, user_id)
);
COMMENT ON COLUMN read.thread_followers.read_position IS 'Up to there they have read it, or nothing concerned them.';
ALTER TABLE read.messages
    ADD COLUMN thread_id uuid, ADD COLUMN root_position bigint, ADD COLUMN in_room bool, ADD COLUMN threaded bool;
COMMENT ON COLUMN read.messages.thread_id IS 'Of a reply in a thread, the root; root_position is where that stands.';
COMMENT ON COLUMN read.messages.in_room IS 'Whether a reply in a thread is shown in the room, too; NULL of other messages.';
COMMENT ON COLUMN read.messages.threaded IS 'Whether anybody ever replied in a thread of it or followed one; NULL: nobody.';
CREATE INDEX replies_of_thread ON read.messages (root_position, position) INCLUDE (sender_id, deleted)
    WHERE root_position IS NOT NULL;
CREATE INDEX timeline_of_room ON read.messages (room_id, position) INCLUDE (sender_id, deleted)
    WHERE in_room IS NOT FALSE;
DROP INDEX read.messages_of_room;
GRANT SELECT ON read.threads, read.thread_followers TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.threads, read.thread_followers TO hansard_projector;
RESET ROLE;
