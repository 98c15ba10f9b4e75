-- Whom messages mention. The null id stands for everybody in the room.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.mentions (
    room_id  uuid   NOT NULL,
    user_id  uuid   NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (room_id, user_id, position)
);
ALTER TABLE read.messages ADD COLUMN mentions text, ADD COLUMN mentions_room text;
COMMENT ON COLUMN read.messages.mentions IS 'The ids of those whom it mentions, with spaces between; NULL: nobody.';
COMMENT ON COLUMN read.messages.mentions_room IS 'room: it mentions everybody; here: everybody who is here; NULL: neither.';
GRANT SELECT ON read.mentions TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.mentions TO hansard_projector;
RESET ROLE;
