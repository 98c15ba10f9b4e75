-- Checkpoints that as many witnesses have as the quorum asks for, with their cosignatures (C2SP tlog-cosignature).
CREATE TABLE notary.witnessed (
    origin       text        NOT NULL,
    size         bigint      NOT NULL CHECK (size > 0),
    note         text        NOT NULL,
    witnesses    text[]      NOT NULL,
    witnessed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (origin, size)
);
COMMENT ON COLUMN notary.witnessed.witnesses IS 'Who has it: those that cosigned, and places that only keep it.';

GRANT SELECT, INSERT, UPDATE ON notary.witnessed TO hansard_notary;
GRANT SELECT ON notary.witnessed TO hansard_gateway;
