-- The index of the audit trail: who did it, to whom, where and what, by position. A group of its own, followed by the worker.
-- `is_known` false: an event whose topic the worker did not know, so that nobody could look into it.
SET LOCAL ROLE hansard_operator;

CREATE TABLE read.audit_entries (
    position bigint PRIMARY KEY,
    actor    uuid,
    subject  uuid,
    room_id  uuid,
    topic    text   NOT NULL,
    is_known bool   NOT NULL
);
CREATE INDEX audit_entries_by_actor ON read.audit_entries (actor, position) WHERE actor IS NOT NULL;
CREATE INDEX audit_entries_by_subject ON read.audit_entries (subject, position) WHERE subject IS NOT NULL;
CREATE INDEX audit_entries_by_room ON read.audit_entries (room_id, position) WHERE room_id IS NOT NULL;
CREATE INDEX audit_entries_by_topic ON read.audit_entries (topic, position);
CREATE INDEX audit_entries_unknown ON read.audit_entries (position) WHERE NOT is_known;
GRANT SELECT ON read.audit_entries TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.audit_entries TO hansard_worker;

ALTER POLICY moved_by_projector ON read.checkpoints
    USING (name NOT IN ('message_html', 'audit_index')) WITH CHECK (name NOT IN ('message_html', 'audit_index'));
ALTER POLICY moved_by_worker ON read.checkpoints
    USING (name IN ('message_html', 'audit_index')) WITH CHECK (name IN ('message_html', 'audit_index'));
RESET ROLE;
