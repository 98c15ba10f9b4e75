-- Where rooms stood in their list at any position: a posting is a room's last one from its own position until the next one's. Rooms
-- of a position are found by the length of that, in powers of two, as members are by their stays (`migrations/0165_past.sql`).
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.past_places (
    room_id         uuid   NOT NULL,
    until_position  bigint NOT NULL,
    posted_position bigint NOT NULL,
    PRIMARY KEY (room_id, until_position)
);
CREATE INDEX past_places_by_length ON read.past_places
    (read.bits(until_position - posted_position), posted_position) INCLUDE (room_id, until_position);

-- What may be a room of somebody, if they are few: those in which they were a member, and those that were public at some time.
CREATE INDEX past_stays_of_person ON read.past_stays (user_id, until_position) INCLUDE (room_id, joined_position);
CREATE INDEX past_rooms_public ON read.past_rooms (room_id) WHERE NOT is_private;

GRANT SELECT ON read.past_places TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.past_places TO hansard_worker;
RESET ROLE;
