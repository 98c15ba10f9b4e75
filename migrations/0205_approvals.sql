-- Approvals: which were asked for, and what became of them. Why, and of what, is on the record alone, sealed.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.approvals (
    id         uuid        PRIMARY KEY,
    position   bigint      NOT NULL,
    state      text        NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX approvals_by_state ON read.approvals (state, position);
COMMENT ON COLUMN read.approvals.position IS 'Of the request.';
GRANT SELECT ON read.approvals TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.approvals TO hansard_projector;
RESET ROLE;
