-- Push subscriptions, without what a device can be told by: that is on the record alone, sealed. `is_live` false: it has ended.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.push_subscriptions (
    id         uuid        PRIMARY KEY,
    user_id    uuid        NOT NULL,
    session_id uuid        NOT NULL,
    service    text        NOT NULL,
    device     text,
    at         timestamptz NOT NULL,
    is_live    bool        NOT NULL
);
CREATE INDEX push_subscriptions_of_user ON read.push_subscriptions (user_id) WHERE is_live;
COMMENT ON COLUMN read.push_subscriptions.service IS 'The origin of its endpoint.';
GRANT SELECT ON read.push_subscriptions TO hansard_gateway, hansard_worker;
GRANT SELECT, INSERT, UPDATE ON read.push_subscriptions TO hansard_projector;
RESET ROLE;
