-- What keeps blobs and their sweeper from hurting each other, and quotas exact. Nothing here is the truth of anything:
-- empty tables only mean that nothing is under way.
CREATE SCHEMA files;
GRANT USAGE ON SCHEMA files TO hansard_app;

-- Whoever is about to refer to a blob holds it first; the sweeper condemns only what nobody holds, and a condemned blob
-- cannot be held until it is gone.
CREATE TABLE files.holds (
    blob      text        PRIMARY KEY,
    until     timestamptz NOT NULL,
    condemned bool        NOT NULL DEFAULT false
);
GRANT SELECT, INSERT, UPDATE, DELETE ON files.holds TO hansard_app;

-- Bytes of uploads that are accepted, until their rows can be read.
CREATE TABLE files.reservations (
    file_id    uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    size_bytes bigint      NOT NULL,
    until      timestamptz NOT NULL
);
CREATE INDEX reservations_of_user ON files.reservations (user_id);
GRANT SELECT, INSERT, DELETE ON files.reservations TO hansard_app;

-- Reserve room for a file; false when this user would then keep more than `quota`. One at a time for a user, so that
-- uploads side by side cannot pass together.
CREATE FUNCTION files.reserve(for_user uuid, for_file uuid, bytes bigint, quota bigint, seconds float8) RETURNS bool
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    kept bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('files.reserve'), hashtext(for_user::text));
    DELETE FROM files.reservations r WHERE r.user_id = for_user
        AND (r.until < clock_timestamp() OR EXISTS (SELECT FROM read.files f WHERE f.id = r.file_id));
    SELECT coalesce((SELECT sum(f.size_bytes) FROM read.files f WHERE f.uploader_id = for_user AND f.storage_path <> ''), 0)
        + coalesce((SELECT sum(r.size_bytes) FROM files.reservations r WHERE r.user_id = for_user), 0) INTO kept;
    IF kept + bytes > quota THEN
        RETURN false;
    END IF;
    INSERT INTO files.reservations (file_id, user_id, size_bytes, until)
    VALUES (for_file, for_user, bytes, clock_timestamp() + make_interval(secs => seconds));
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION files.reserve FROM PUBLIC;
GRANT EXECUTE ON FUNCTION files.reserve TO hansard_app;
