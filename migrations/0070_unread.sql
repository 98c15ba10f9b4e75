-- What unread messages are counted by stands in the index: a count reads no message. That needs pages known to be visible
-- to all, so the table is vacuumed after every fiftieth of it that was added, not after every fifth (which is the default).
SET LOCAL ROLE hansard_operator;
DROP INDEX read.messages_of_room;
CREATE INDEX messages_of_room ON read.messages (room_id, position) INCLUDE (sender_id, deleted);
ALTER TABLE read.messages SET (autovacuum_vacuum_insert_scale_factor = 0.02);
RESET ROLE;
