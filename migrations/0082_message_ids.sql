-- Messages are looked up through their streams (record.events, stream and version), which have an index; only system
-- messages have no stream. An index of all ids, which are random, cost each message a page of its own in the write-ahead log:
-- 3.4 KB of the first ones after a checkpoint, at a million messages.
SET LOCAL ROLE hansard_operator;
DROP INDEX read.messages_by_id;
CREATE INDEX system_messages_by_id ON read.messages (id) WHERE sender_id IS NULL;
RESET ROLE;
