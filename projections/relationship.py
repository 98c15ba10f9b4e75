"""Standing: what a person is to a room of which kind, in SQL, for statements that guard what they select.

In these fragments `r` is a row of `read.rooms` and `m` the person's row of `read.room_members`, if there is one. Which
standings a statement lets through it is told as a parameter: `authorization.standings(operation)`. The tables do not keep who
left and who was removed apart; nor does anything that is read (`tests/domain/test_rights.py`).
"""

STANDING = """(
    CASE WHEN r.is_private AND r.is_archived THEN 'private archived' WHEN r.is_private THEN 'private'
        WHEN r.is_archived THEN 'archived' ELSE 'public' END
    || '/' ||
    coalesce(m.role, CASE WHEN m.is_banned THEN 'banned' WHEN m.room_id IS NULL THEN 'stranger' ELSE 'left' END)
)"""
# The first position that may be read: in a room of history `joined` members read what came since they joined.
SINCE = """(
    CASE WHEN r.history = 'shared' THEN 0 WHEN m.role IS NULL THEN 9223372036854775807 ELSE m.joined_position END
)"""
