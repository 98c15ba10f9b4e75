-- What a room is about just now. NULL: nobody said.
SET LOCAL ROLE hansard_operator;
ALTER TABLE read.rooms ADD COLUMN topic text;
COMMENT ON COLUMN read.rooms.topic IS 'What the room is about just now; NULL where nobody said.';
RESET ROLE;
