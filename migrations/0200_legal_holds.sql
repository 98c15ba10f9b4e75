-- Legal holds, for people to look at. Whoever destroys something asks the record itself.
SET LOCAL ROLE hansard_operator;
CREATE TABLE read.legal_holds (
    id          uuid        PRIMARY KEY,
    name        text        NOT NULL,
    persons     text        NOT NULL,
    rooms       text        NOT NULL,
    from_at     timestamptz,
    to_at       timestamptz,
    placed_by   uuid        NOT NULL,
    placed_at   timestamptz NOT NULL,
    position    bigint      NOT NULL,
    released_by uuid,
    released_at timestamptz
);
CREATE INDEX legal_holds_in_order ON read.legal_holds (position);
COMMENT ON COLUMN read.legal_holds.persons IS 'The ids of those whom it covers, with spaces between; empty: everybody.';
COMMENT ON COLUMN read.legal_holds.rooms IS 'The ids of the rooms that it covers, with spaces between; empty: all of them.';
GRANT SELECT ON read.legal_holds TO hansard_gateway;
GRANT SELECT, INSERT, UPDATE ON read.legal_holds TO hansard_projector;
RESET ROLE;
