"""S1 to S5 side by side: Hansard and what it is compared with, in turns, on the same Postgres and Redis."""
