-- What the notifier needs of what came beside it: the devices that it tells, whether somebody of its version stands by, and a line
-- for each event that it parks.
SET LOCAL ROLE hansard_operator;

GRANT SELECT ON read.push_subscriptions TO hansard_notifier;
GRANT SELECT, INSERT, UPDATE ON read.followers TO hansard_notifier;
GRANT INSERT ON read.parking_notes TO hansard_notifier;
RESET ROLE;
