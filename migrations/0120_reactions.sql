-- Reactions: who gave which emoji to a message, and how many of each there are. Both are looked at only for messages of which
-- `reacted` says that there is something to look for. `given` false: it was taken back.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.message_reactions (
    posted_position bigint      NOT NULL,
    emoji           text        NOT NULL,
    user_id         uuid        NOT NULL,
    position        bigint      NOT NULL,
    at              timestamptz NOT NULL,
    given           bool        NOT NULL,
    PRIMARY KEY (posted_position, emoji, user_id)
);
CREATE INDEX message_reactions_in_order ON read.message_reactions (posted_position, position) WHERE given;
CREATE TABLE read.reaction_counts (
    posted_position bigint NOT NULL,
    emoji           text   NOT NULL,
    count           int    NOT NULL,
    first_position  bigint NOT NULL,
    PRIMARY KEY (posted_position, emoji)
);
ALTER TABLE read.messages ADD COLUMN reacted bool;
COMMENT ON COLUMN read.messages.reacted IS 'Whether there ever was a reaction to it; NULL where there was none.';
GRANT SELECT ON read.message_reactions, read.reaction_counts TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.message_reactions, read.reaction_counts TO hansard_projector;
RESET ROLE;
