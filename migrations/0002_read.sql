-- Read tables: what the record says at a checkpoint. All of it can be dropped and comes back from the record, so there
-- are no foreign keys (tables are rebuilt beside the old ones and swapped by rename); what they would say, the record
-- keeps. They belong to hansard_app, which rebuilds them.
SET LOCAL ROLE hansard_app;

CREATE TABLE read.users (
    id              uuid         PRIMARY KEY,
    email           varchar(255) NOT NULL,
    hashed_password text         NOT NULL,
    username        varchar(50)  NOT NULL,
    username_folded text         NOT NULL,
    avatar_url      varchar(500),
    is_active       bool         NOT NULL,
    is_verified     bool         NOT NULL,
    created_at      timestamptz  NOT NULL,
    updated_at      timestamptz  NOT NULL,
    version         int          NOT NULL
);
CREATE INDEX users_by_name ON read.users (username_folded);

CREATE TABLE read.rooms (
    id           uuid         PRIMARY KEY,
    name         varchar(100) NOT NULL,
    description  text,
    is_private   bool         NOT NULL,
    history      text         NOT NULL,
    owner_id     uuid         NOT NULL,
    is_archived  bool         NOT NULL,
    member_count int          NOT NULL,
    activity     bigint       NOT NULL,
    created_at   timestamptz  NOT NULL,
    updated_at   timestamptz  NOT NULL,
    version      int          NOT NULL
);
CREATE INDEX rooms_by_activity ON read.rooms (activity DESC, id DESC);
COMMENT ON COLUMN read.rooms.activity IS 'The position of the last event that the room heard.';

-- Members, and those who once were: role null. Whoever was banned is_banned until added again.
CREATE TABLE read.room_members (
    room_id         uuid        NOT NULL,
    user_id         uuid        NOT NULL,
    role            text,
    joined_at       timestamptz NOT NULL,
    joined_position bigint      NOT NULL,
    is_banned       bool        NOT NULL,
    read_position   bigint      NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_members_of_user ON read.room_members (user_id) WHERE role IS NOT NULL;
CREATE INDEX room_members_by_joining ON read.room_members (room_id, joined_position, user_id) WHERE role IS NOT NULL;

CREATE TABLE read.messages (
    room_id      uuid        NOT NULL,
    position     bigint      NOT NULL,
    id           uuid        NOT NULL,
    sender_id    uuid,
    message_type text        NOT NULL,
    content      text        NOT NULL,
    file_id      uuid,
    reply_to     uuid,
    is_edited    bool        NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    version      int         NOT NULL,
    deleted      bool        NOT NULL,
    subject_id   uuid,
    subject_by   uuid,
    PRIMARY KEY (position)
);
CREATE INDEX messages_of_room ON read.messages (room_id, position);
CREATE INDEX messages_by_id ON read.messages (id);

CREATE TABLE read.sessions (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    ended_at   timestamptz
);
CREATE INDEX sessions_ended ON read.sessions (ended_at) WHERE ended_at IS NOT NULL;

-- The text of a message as HTML: a projection of its own, behind the others.
CREATE TABLE read.message_html (
    position bigint PRIMARY KEY,
    version  int    NOT NULL,
    html     text   NOT NULL
);

-- How far each group of tables is, and who may write it: `epoch` counts owners, a loser's commit finds another one.
CREATE TABLE read.checkpoints (
    name       text        PRIMARY KEY,
    version    int         NOT NULL,
    position   bigint      NOT NULL DEFAULT 0,
    epoch      bigint      NOT NULL DEFAULT 0,
    owner      text,
    leased_to  timestamptz NOT NULL DEFAULT '-infinity'
);
RESET ROLE;
