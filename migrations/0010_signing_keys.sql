-- A key that signs access tokens is told to everybody (JWKS) some time before it signs, so that nobody meets it unprepared.
-- The newest that may sign does; an older one is read until the last token it signed has expired.
ALTER TABLE vault.signing_keys ADD COLUMN signs_from timestamptz NOT NULL DEFAULT clock_timestamp();
UPDATE vault.signing_keys SET signs_from = created_at;
-- An operator may retire a key at once, when it is no more a secret; nothing else of a key changes.
GRANT UPDATE (retired_at) ON vault.signing_keys TO hansard_app;
