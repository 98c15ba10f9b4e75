-- Administrators look at a page of the tasks of one kind, too: each index leads to those of one channel, so that a page passes over no
-- delivery of another (`adapters/postgres/standing_tasks.py`). None is left that is in their order and of all channels: a planner
-- would take it for a channel of which it believes that there are many.
DROP INDEX notify.deliveries_untried, notify.deliveries_tried, notify.deliveries_telling, notify.deliveries_dead;
CREATE INDEX deliveries_untried ON notify.deliveries (channel, changed_at, account_id) WHERE state = 'pending' AND tries = 0;
CREATE INDEX deliveries_tried ON notify.deliveries (channel, changed_at, account_id) WHERE state = 'pending' AND tries > 0;
CREATE INDEX deliveries_telling ON notify.deliveries (channel, changed_at, account_id) WHERE state = 'telling';
CREATE INDEX deliveries_dead ON notify.deliveries (channel, changed_at, account_id) WHERE state = 'dead';
