-- What the notary may know of synchronous standbys: up to where one of them has the log on its disk. Of `FIRST n` every one has it,
-- of `ANY n` one at least. NULL where there is none, or where the owner of this function may not see it (GRANT pg_monitor).
CREATE FUNCTION notary.replicated() RETURNS pg_lsn
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(min(flush_lsn) FILTER (WHERE sync_state = 'sync'), max(flush_lsn) FILTER (WHERE sync_state = 'quorum'))
    FROM pg_stat_replication WHERE state = 'streaming'
$$;
REVOKE ALL ON FUNCTION notary.replicated() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION notary.replicated() TO hansard_notary;
