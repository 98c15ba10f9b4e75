-- Direct rooms are rooms of a kind of their own. NULL: a room.
SET LOCAL ROLE hansard_operator;
ALTER TABLE read.rooms ADD COLUMN is_direct bool;
COMMENT ON COLUMN read.rooms.is_direct IS 'Whether it is the room of a few people, whom it follows from; NULL where it is not.';
RESET ROLE;
