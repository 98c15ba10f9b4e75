-- Which data keys were ever made. It stands beside the events, and not in the vault: where the vault is restored in part,
-- this says that a key is missing, and that no other one may be made in its place.
CREATE TABLE record.made_keys (
    key_id uuid PRIMARY KEY
);
COMMENT ON TABLE record.made_keys IS 'Ids of all data keys that were ever made, destroyed ones too.';
INSERT INTO record.made_keys (key_id) SELECT key_id FROM vault.data_keys;
GRANT SELECT, INSERT ON record.made_keys TO hansard_gateway, hansard_worker;

-- Whoever destroys a data key, or takes one away, tells every process, in the transaction that does it.
CREATE FUNCTION vault.tell_gone() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('hansard_keys', '');
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION vault.tell_gone() FROM PUBLIC;
CREATE TRIGGER tell_gone AFTER UPDATE OR DELETE OR TRUNCATE ON vault.data_keys
    FOR EACH STATEMENT EXECUTE FUNCTION vault.tell_gone();
