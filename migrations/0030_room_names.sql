-- Room names as they are searched: NFKC and case-folded, like usernames. Postgres has no case folding of its own before
-- 18: names of before are in small letters until their room changes, or `hansard rebuild live` makes the table anew.
-- The default is for a projector of before that still runs.
SET LOCAL ROLE hansard_app;

ALTER TABLE read.rooms ADD COLUMN name_folded text NOT NULL DEFAULT '';
UPDATE read.rooms SET name_folded = lower(normalize(name, NFKC));
RESET ROLE;
