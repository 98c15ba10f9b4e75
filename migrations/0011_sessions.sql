-- What a person sees of their sessions: from where, with what, and when last refreshed.
SET LOCAL ROLE hansard_app;
ALTER TABLE read.sessions ADD COLUMN refreshed_at timestamptz, ADD COLUMN address text, ADD COLUMN agent text;
CREATE INDEX sessions_of_user ON read.sessions (user_id, created_at);
RESET ROLE;
