-- What the worker may know of accounts: their names, so that names of long ago claim what looks like them. The table holds
-- e-mails and password hashes beside, so it is asked by this function alone. Looked up when it runs: read tables are swapped.
SET LOCAL ROLE hansard_operator;
CREATE FUNCTION read.names(after uuid, at_most int) RETURNS TABLE (id uuid, username varchar)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT u.id, u.username FROM read.users u WHERE u.id > after ORDER BY u.id LIMIT at_most
$$;
REVOKE ALL ON FUNCTION read.names FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.names TO hansard_worker;
RESET ROLE;
GRANT SELECT ON record.claims TO hansard_worker;  -- keyed hashes: whether a value is taken
