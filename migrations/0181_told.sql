-- What people were told outside the chat, and what they are still to be told. It stands beside the read tables because it cannot
-- be made again: a telling that happened is nowhere else. Nothing of it is ever rebuilt, so a rebuild tells nobody anything.
CREATE SCHEMA notify;

-- Up to where it was decided what is to be told: the last notification that was looked at, in the order (position, account).
CREATE TABLE notify.place (
    is_only    bool   PRIMARY KEY DEFAULT true CHECK (is_only),
    record     uuid   NOT NULL,
    position   bigint NOT NULL,
    account_id uuid   NOT NULL DEFAULT 'ffffffff-ffff-ffff-ffff-ffffffffffff',
    is_behind  bool   NOT NULL DEFAULT false
);
COMMENT ON COLUMN notify.place.is_behind IS 'There is more to look at: what is old already waits, so that it is told as one.';
-- Whoever upgrades is not told of what was said before.
INSERT INTO notify.place (record, position) SELECT record, position FROM record.head;

CREATE TABLE notify.deliveries (
    account_id uuid        NOT NULL,
    position   bigint      NOT NULL,
    channel    text        NOT NULL,
    target_id  uuid        NOT NULL,
    kind       text        NOT NULL,
    room_id    uuid,
    message_id uuid,
    actor_id   uuid,
    at         timestamptz NOT NULL,
    due_at     timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'telling', 'told', 'folded', 'withdrawn', 'gone', 'unknown', 'dead')),
    is_held    bool        NOT NULL DEFAULT false,
    tries      int         NOT NULL DEFAULT 0,
    reason     text,
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, position, channel, target_id)
);
CREATE INDEX deliveries_due ON notify.deliveries (due_at) WHERE state = 'pending';
CREATE INDEX deliveries_of_target ON notify.deliveries (channel, target_id) WHERE state = 'pending';
CREATE INDEX deliveries_telling ON notify.deliveries (changed_at) WHERE state = 'telling';
CREATE INDEX deliveries_dead ON notify.deliveries (changed_at) WHERE state = 'dead';
CREATE INDEX deliveries_ended ON notify.deliveries (changed_at) WHERE state NOT IN ('pending', 'telling');
COMMENT ON COLUMN notify.deliveries.state IS
    'telling: it may have been told, and is never told again; unknown: so it stayed; folded: another of the same device was told for it.';
COMMENT ON COLUMN notify.deliveries.is_held IS 'It waited for the end of quiet hours or do-not-disturb.';
COMMENT ON COLUMN notify.deliveries.reason IS 'Why it is dead, for operators; nothing personal.';

GRANT USAGE ON SCHEMA notify TO hansard_notifier, hansard_operator;
GRANT SELECT, UPDATE ON notify.place TO hansard_notifier;
GRANT SELECT, INSERT, UPDATE, DELETE ON notify.deliveries TO hansard_notifier;
GRANT SELECT ON notify.place, notify.deliveries TO hansard_operator;
