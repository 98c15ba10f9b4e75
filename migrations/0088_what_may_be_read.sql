-- What a person is to a room, and from where they may read it: for statements that guard what they select. Both look at
-- nothing but their arguments, and Postgres puts them into the statement that calls them, so that no plan differs from one
-- with the expressions written out (hence no `SET search_path`: that would keep them from it). Whoever has no row in
-- read.room_members has neither role nor `is_banned`; the tables do not distinguish who left from who was removed.
SET LOCAL ROLE hansard_operator;
CREATE FUNCTION read.standing(is_private bool, is_archived bool, role text, is_banned bool) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE
        WHEN is_private AND is_archived THEN 'private archived'
        WHEN is_private THEN 'private'
        WHEN is_archived THEN 'archived'
        ELSE 'public'
    END
    || '/' ||
    coalesce(role, CASE WHEN is_banned IS NULL THEN 'stranger' WHEN is_banned THEN 'banned' ELSE 'left' END);
COMMENT ON FUNCTION read.standing IS 'Kind of room/relationship, as domain/rights.py has them: ''private/member''.';

CREATE FUNCTION read.readable_from(history text, role text, joined_position bigint) RETURNS bigint
LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    CASE WHEN history = 'shared' THEN 0 WHEN role IS NULL THEN 9223372036854775807 ELSE joined_position END;
COMMENT ON FUNCTION read.readable_from IS
    'The first position that may be read: in a room of history ''joined'', members read what came since they joined.';

REVOKE ALL ON FUNCTION read.standing, read.readable_from FROM PUBLIC;
GRANT EXECUTE ON FUNCTION read.standing, read.readable_from TO hansard_gateway;
RESET ROLE;
