-- Retention: the policies, for people to look at; and which data keys of a room are due.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.retention_policies (
    room_id  uuid        PRIMARY KEY,
    days_min int,
    days_max int,
    is_set   bool        NOT NULL,
    set_by   uuid        NOT NULL,
    set_at   timestamptz NOT NULL
);
COMMENT ON COLUMN read.retention_policies.room_id IS 'The null id: all rooms without a policy of their own.';
GRANT SELECT ON read.retention_policies TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.retention_policies TO hansard_projector;
RESET ROLE;

CREATE INDEX data_keys_of_room ON vault.data_keys (room_id, day, key_id) WHERE wrapped IS NOT NULL AND room_id IS NOT NULL;
