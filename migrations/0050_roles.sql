-- Roles: what each process may do, and nothing beside it. The roles themselves are the cluster's, and are made before any
-- migration (`runtime/roles.py`): groups that nobody logs in as. A log-in is a member of the groups of its process.
--
--   hansard_app        what all share: the log of events, its head, how far each group of read tables is
--   hansard_gateway    appends, takes claims and receipts, makes keys, reads read tables, holds blobs
--   hansard_projector  writes the live group's read tables; writes nothing of the record
--   hansard_worker     appends what becomes of files, writes read.message_html, sweeps blobs and old receipts
--   hansard_operator   the command line: what the gateway may, retires signing keys, and owns the read tables, which it rebuilds
--
-- Whoever migrates owns everything else. A new table is granted to nobody by itself: decide, and write it into the matrix
-- of `tests/record/test_roles.py`. A new read table is made under `SET LOCAL ROLE hansard_operator`.

-- Until here read tables belonged to hansard_app, and every process was the owner under another name.
GRANT USAGE, CREATE ON SCHEMA read TO hansard_operator;
REASSIGN OWNED BY hansard_app TO hansard_operator;
REVOKE ALL ON SCHEMA record, vault, read, files FROM hansard_app, PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA record FROM hansard_app, PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA vault FROM hansard_app, PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA files FROM hansard_app, PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA record FROM hansard_app, PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA files FROM hansard_app, PUBLIC;

GRANT USAGE ON SCHEMA record, read TO hansard_app;
GRANT SELECT ON record.events, record.head TO hansard_app;

GRANT USAGE ON SCHEMA vault TO hansard_gateway, hansard_projector, hansard_worker;
GRANT SELECT ON vault.data_keys TO hansard_gateway, hansard_projector, hansard_worker;
GRANT INSERT ON vault.data_keys TO hansard_gateway, hansard_worker;
GRANT SELECT, INSERT ON vault.signing_keys TO hansard_gateway;
GRANT UPDATE (retired_at) ON vault.signing_keys TO hansard_operator;

-- Short cuts past long streams, which nothing is proven by.
GRANT SELECT, INSERT, UPDATE ON record.snapshots TO hansard_gateway, hansard_worker;
GRANT SELECT ON record.claims, record.receipts TO hansard_gateway;
GRANT EXECUTE ON FUNCTION record.append TO hansard_gateway, hansard_worker;
GRANT EXECUTE ON FUNCTION record.forget_receipts TO hansard_worker;

GRANT USAGE ON SCHEMA files TO hansard_gateway, hansard_worker;
GRANT SELECT, INSERT, UPDATE ON files.holds TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE, DELETE ON files.holds TO hansard_worker;
GRANT SELECT, INSERT, DELETE ON files.reservations TO hansard_gateway;
GRANT EXECUTE ON FUNCTION files.reserve TO hansard_gateway;

SET LOCAL ROLE hansard_operator;
GRANT SELECT ON
    read.users, read.sessions, read.rooms, read.room_members, read.messages, read.files, read.file_variants, read.message_html
    TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON
    read.users, read.sessions, read.rooms, read.room_members, read.messages, read.files, read.file_variants
    TO hansard_projector;
GRANT SELECT, INSERT, UPDATE ON read.message_html TO hansard_worker;
GRANT SELECT ON read.room_members, read.files, read.file_variants TO hansard_worker;

-- Everybody reads how far the groups are; each is moved by whoever follows it.
GRANT SELECT ON read.checkpoints TO hansard_app;
GRANT INSERT, UPDATE ON read.checkpoints TO hansard_projector, hansard_worker;
ALTER TABLE read.checkpoints ENABLE ROW LEVEL SECURITY;
CREATE POLICY read_by_all ON read.checkpoints FOR SELECT USING (true);
CREATE POLICY moved_by_projector ON read.checkpoints TO hansard_projector
    USING (name <> 'message_html') WITH CHECK (name <> 'message_html');
CREATE POLICY moved_by_worker ON read.checkpoints TO hansard_worker
    USING (name = 'message_html') WITH CHECK (name = 'message_html');
RESET ROLE;
