-- Data keys are wrapped twice: by the master key together with a wrapping key of a file beside it, whose version stands with each.
-- 0: by the master key alone, as until now.
ALTER TABLE vault.data_keys ADD COLUMN wrapped_with int NOT NULL DEFAULT 0;
COMMENT ON COLUMN vault.data_keys.wrapped_with IS 'The version of the wrapping key; 0: the master key alone.';

-- The oldest wrapping key under which a new data key may be wrapped: while all are wrapped anew, none is made of those before.
CREATE TABLE vault.wrapping (
    one_row bool PRIMARY KEY DEFAULT true CHECK (one_row),
    oldest  int  NOT NULL DEFAULT 0
);
INSERT INTO vault.wrapping DEFAULT VALUES;

-- What digests of claims and other secrets are derived from once the master key was replaced: it outlives that. None: the
-- master key itself.
CREATE TABLE vault.master_root (
    one_row bool  PRIMARY KEY DEFAULT true CHECK (one_row),
    wrapped bytea NOT NULL
);
GRANT SELECT ON vault.wrapping, vault.master_root TO hansard_gateway, hansard_projector, hansard_worker, hansard_notifier;

CREATE FUNCTION vault.guard_wrapping() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known int;
BEGIN
    SELECT w.oldest INTO known FROM vault.wrapping w FOR SHARE;
    IF NEW.wrapped_with < known AND NEW.wrapped IS NOT NULL THEN
        RAISE EXCEPTION 'This wrapping key is no longer used.' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION vault.guard_wrapping FROM PUBLIC;
CREATE TRIGGER guard_wrapping BEFORE INSERT ON vault.data_keys FOR EACH ROW EXECUTE FUNCTION vault.guard_wrapping();

-- Wrapping a key anew is no news of it: whoever has it at hand has the right one.
DROP TRIGGER tell_gone ON vault.data_keys;
CREATE TRIGGER tell_gone AFTER DELETE OR TRUNCATE ON vault.data_keys FOR EACH STATEMENT EXECUTE FUNCTION vault.tell_gone();
CREATE FUNCTION vault.tell_destroyed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM changed WHERE wrapped IS NULL) THEN
        PERFORM pg_notify('hansard_keys', '');
    END IF;
    RETURN NULL;
END $$;
REVOKE EXECUTE ON FUNCTION vault.tell_destroyed() FROM PUBLIC;
CREATE TRIGGER tell_destroyed AFTER UPDATE ON vault.data_keys REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION vault.tell_destroyed();

-- From here on no key is made that is wrapped by an earlier one; waits for those that are being made.
CREATE FUNCTION vault.begin_wrapping(version int) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE vault.wrapping w SET oldest = version WHERE w.oldest < version
$$;
-- Wrap keys anew; how many were. One that was destroyed or wrapped anew meanwhile stays as it is.
CREATE FUNCTION vault.rewrap(key_ids uuid[], before bytea[], after bytea[], version int) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH done AS (
        UPDATE vault.data_keys k SET wrapped = g.after, wrapped_with = version
        FROM unnest(key_ids, before, after) g (key_id, before, after)
        WHERE k.key_id = g.key_id AND k.wrapped = g.before RETURNING 1
    ) SELECT count(*) FROM done
$$;
-- What else the master key wraps, wrapped by another one.
CREATE FUNCTION vault.replace_master(known bytea, root bytea, kids text[], signing bytea[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO vault.master_check (wrapped) VALUES (known) ON CONFLICT (one_row) DO UPDATE SET wrapped = excluded.wrapped;
    INSERT INTO vault.master_root (wrapped) VALUES (root) ON CONFLICT (one_row) DO UPDATE SET wrapped = excluded.wrapped;
    UPDATE vault.signing_keys s SET wrapped = g.wrapped FROM unnest(kids, signing) g (kid, wrapped) WHERE s.kid = g.kid;
$$;
REVOKE ALL ON FUNCTION vault.begin_wrapping, vault.rewrap, vault.replace_master FROM PUBLIC;
GRANT EXECUTE ON FUNCTION vault.begin_wrapping, vault.rewrap, vault.replace_master TO hansard_operator;
