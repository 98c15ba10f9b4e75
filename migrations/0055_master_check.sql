-- What tells a wrong master key from the right one, before anything is sealed under it: a known text, wrapped by it.
CREATE TABLE vault.master_check (
    one_row    bool        PRIMARY KEY DEFAULT true CHECK (one_row),
    wrapped    bytea       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
GRANT SELECT ON vault.master_check TO hansard_gateway, hansard_projector, hansard_worker;
GRANT INSERT ON vault.master_check TO hansard_gateway, hansard_worker;
