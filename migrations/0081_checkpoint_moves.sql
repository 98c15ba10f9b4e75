-- A checkpoint moves with every commit of its group's owner, and under a long snapshot (pg_dump) none of the versions of its
-- row can be removed. Found by its name, each move walked through all of them. With the position in the key a move is another
-- entry of the index: who moves it says from where and finds that one version, and who reads it begins at the last.
--
-- A name alone is not unique any more. Should two processes make a group's first row and the faster one have moved it on
-- already, the other row stays at 0 for ever: everybody goes by the last.
SET LOCAL ROLE hansard_operator;
ALTER TABLE read.checkpoints DROP CONSTRAINT checkpoints_pkey, ADD PRIMARY KEY (name, position);
RESET ROLE;
