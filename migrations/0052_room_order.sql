-- The order of rooms: by the last message posted, system messages among them. `activity` stays what it is, the last
-- event that the room heard: an edit or a deletion of an old message lifts no room in a list.
-- The default is for a projector of before that still runs; `hansard rebuild live` mends what it wrote.
SET LOCAL ROLE hansard_operator;

ALTER TABLE read.rooms ADD COLUMN last_posted bigint NOT NULL DEFAULT 0;
UPDATE read.rooms SET last_posted = coalesce(
    (SELECT m.position FROM read.messages m WHERE m.room_id = rooms.id ORDER BY m.position DESC LIMIT 1), activity);
DROP INDEX read.rooms_by_activity;
CREATE INDEX rooms_by_last_posted ON read.rooms (last_posted DESC, id DESC);
COMMENT ON COLUMN read.rooms.last_posted IS 'The position of the last message, or of the opening of a room without one.';
RESET ROLE;
