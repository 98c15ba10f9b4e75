-- Pinned messages of rooms. `pinned` false: it was taken down.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.pins (
    room_id         uuid   NOT NULL,
    posted_position bigint NOT NULL,
    position        bigint NOT NULL,
    pinned          bool   NOT NULL,
    PRIMARY KEY (room_id, posted_position)
);
ALTER TABLE read.messages ADD COLUMN pinned bool;
COMMENT ON COLUMN read.messages.pinned IS 'Whether it is pinned in its room; NULL where it never was.';
GRANT SELECT ON read.pins TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.pins TO hansard_projector;
RESET ROLE;
