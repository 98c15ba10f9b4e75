-- What rooms, members and hangings-on of messages were at any position: a group of its own (`past`), which the worker follows.
-- Rows say what became so at a position, and are never changed, but for stays, which end. Of messages themselves nothing is
-- here: their rows and streams say it. A message costs nothing unless somebody reacts to it, pins it or deletes it.
SET LOCAL ROLE hansard_operator;

-- What an event of a room's own stream says of it; NULL: nothing.
CREATE TABLE read.past_rooms (
    room_id     uuid        NOT NULL,
    position    bigint      NOT NULL,
    at          timestamptz NOT NULL,
    version     int         NOT NULL,
    name        varchar(100),
    name_folded text,
    description text,
    is_private  bool,
    history     text,
    topic       text,
    owner_id    uuid,
    is_archived bool,
    PRIMARY KEY (room_id, position)
);
CREATE INDEX past_rooms_named ON read.past_rooms (room_id, position) WHERE name IS NOT NULL;
CREATE INDEX past_rooms_owned ON read.past_rooms (room_id, position) WHERE owner_id IS NOT NULL;
CREATE INDEX past_rooms_archived ON read.past_rooms (room_id, position) WHERE is_archived;

-- What somebody became in a room; role NULL: no member any more.
CREATE TABLE read.past_roles (
    room_id  uuid   NOT NULL,
    user_id  uuid   NOT NULL,
    position bigint NOT NULL,
    role     text,
    PRIMARY KEY (room_id, user_id, position)
);

-- How long somebody was a member: from the joining until the position that ended it, or the greatest there is.
CREATE TABLE read.past_stays (
    room_id         uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    until_position  bigint      NOT NULL,
    joined_position bigint      NOT NULL,
    joined_at       timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id, until_position)
);
-- Stays by their length, in powers of two: one of `bits` that a position lies in began less than 2^bits before it. So those of a
-- position are found in the order of joining without a look at the many that ended long before.
CREATE FUNCTION read.bits(length bigint) RETURNS int
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT RETURN char_length(ltrim(length::bit(64)::text, '0'));
COMMENT ON FUNCTION read.bits IS 'How many binary digits a number has.';
REVOKE ALL ON FUNCTION read.bits FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.bits TO hansard_gateway, hansard_worker;
CREATE INDEX past_stays_by_length ON read.past_stays
    (room_id, read.bits(until_position - joined_position), joined_position, user_id) INCLUDE (until_position);

-- How many more members a room had after a stretch of positions: `level` 0 is a position, 1 a stretch of 1,024, 2 of 1,024², …
CREATE TABLE read.past_member_counts (
    room_id uuid   NOT NULL,
    level   int    NOT NULL,
    stretch bigint NOT NULL,
    net     int    NOT NULL,
    PRIMARY KEY (room_id, level, stretch)
);

CREATE TABLE read.past_reactions (
    posted_position bigint NOT NULL,
    emoji           text   NOT NULL,
    position        bigint NOT NULL,
    user_id         uuid   NOT NULL,
    given           bool   NOT NULL,
    count           int    NOT NULL,
    PRIMARY KEY (posted_position, emoji, position)
);
CREATE INDEX past_reactions_of_person ON read.past_reactions (posted_position, emoji, user_id, position) INCLUDE (given);
CREATE INDEX past_reactions_first ON read.past_reactions (posted_position, emoji, position) WHERE given AND count = 1;

CREATE TABLE read.past_pins (
    posted_position bigint NOT NULL,
    position        bigint NOT NULL,
    pinned          bool   NOT NULL,
    PRIMARY KEY (posted_position, position)
);

-- When messages were deleted: until then they counted as unread.
CREATE TABLE read.past_deletions (
    posted_position bigint PRIMARY KEY,
    position        bigint NOT NULL
);

-- Where the history of a room stands on the record; `posted_position`: of the message that was pinned, or taken down.
CREATE TABLE read.room_changes (
    room_id         uuid   NOT NULL,
    position        bigint NOT NULL,
    posted_position bigint,
    PRIMARY KEY (room_id, position)
);

GRANT SELECT ON
    read.past_rooms, read.past_roles, read.past_stays, read.past_member_counts, read.past_reactions, read.past_pins,
    read.past_deletions, read.room_changes
    TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON
    read.past_rooms, read.past_roles, read.past_stays, read.past_member_counts, read.past_reactions, read.past_pins,
    read.past_deletions, read.room_changes
    TO hansard_worker;

CREATE POLICY past_moved_by_worker ON read.checkpoints TO hansard_worker USING (name = 'past') WITH CHECK (name = 'past');
ALTER POLICY moved_by_projector ON read.checkpoints
    USING (name NOT IN ('message_html', 'audit_index', 'past')) WITH CHECK (name NOT IN ('message_html', 'audit_index', 'past'));
RESET ROLE;
