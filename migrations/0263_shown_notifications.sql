-- What inboxes show, in the order of the record: whoever publishes it passes by none of what is told to those who follow a room alone.
SET LOCAL ROLE hansard_operator;
CREATE INDEX notifications_shown ON read.notifications (position, account_id) WHERE kind <> 'room';
RESET ROLE;
