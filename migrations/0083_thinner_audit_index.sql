-- What messages are most of costs most: a message's sender is its actor and its subject too, and its topic is that of most
-- events. Who is asked for as a subject is looked up as an actor beside (the entry says whether both are one), and the
-- commonest topic by position. Vacuumed as messages are, so that positions are read from the indexes alone.
SET LOCAL ROLE hansard_operator;
DROP INDEX read.audit_entries_by_subject;
DROP INDEX read.audit_entries_by_topic;
CREATE INDEX audit_entries_by_subject ON read.audit_entries (subject, position)
    WHERE subject IS NOT NULL AND subject IS DISTINCT FROM actor;
CREATE INDEX audit_entries_by_topic ON read.audit_entries (topic, position) WHERE topic <> 'message.posted';
ALTER TABLE read.audit_entries SET (autovacuum_vacuum_insert_scale_factor = 0.02);
RESET ROLE;
