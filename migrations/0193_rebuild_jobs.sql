-- Among how many processes a rebuild is divided that was asked for over HTTP.
SET LOCAL ROLE hansard_operator;
ALTER TABLE read.rebuilds ADD COLUMN jobs int NOT NULL DEFAULT 1;
RESET ROLE;
