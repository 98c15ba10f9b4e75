-- What an auditor's search must show to whoever reads the record, because the index cannot tell: entries of topics that its
-- writer did not know, and events that it parked. It is a function, and no view: a view stays with a table that a rebuild
-- replaced, while the names in this text are looked up when a statement is planned. Postgres puts it into the statement that
-- calls it (hence neither SECURITY DEFINER nor SET).
SET LOCAL ROLE hansard_operator;
CREATE FUNCTION read.audit_unknown(after bigint, until bigint, at_most bigint)
RETURNS TABLE ("position" bigint, actor uuid, subject uuid, room_id uuid, topic text, is_known bool)
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    (SELECT e.position, e.actor, e.subject, e.room_id, e.topic, e.is_known FROM read.audit_entries e
        WHERE NOT e.is_known AND e.position > after AND e.position <= until ORDER BY e.position LIMIT at_most)
    UNION
    (SELECT p.position, NULL::uuid, NULL::uuid, NULL::uuid, p.topic, false FROM read.parked_events p
        WHERE p.group_name = 'audit_index' AND NOT p.is_building AND p.position > after AND p.position <= until
        ORDER BY p.position LIMIT at_most)
$$;
REVOKE ALL ON FUNCTION read.audit_unknown FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.audit_unknown TO hansard_gateway;
RESET ROLE;
