-- Where messages were posted is known by the record's own index of rooms (record.events_of_room), so the auditor's index by room
-- holds only what else happened: messages were most of it. Who asks for a room looks into both.
SET LOCAL ROLE hansard_operator;
DROP INDEX read.audit_entries_by_room;
CREATE INDEX audit_entries_by_room ON read.audit_entries (room_id, position)
    WHERE room_id IS NOT NULL AND topic <> 'message.posted';
RESET ROLE;
