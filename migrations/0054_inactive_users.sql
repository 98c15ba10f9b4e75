-- Who is deactivated is asked by every gateway every few seconds: a few rows, found without a look at the others.
SET LOCAL ROLE hansard_operator;
CREATE INDEX users_inactive ON read.users (id) WHERE NOT is_active;
RESET ROLE;
