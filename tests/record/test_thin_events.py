"""What an event does not say takes no place in the record: null or an empty list where that is the field's default. Rows that say
it are read alike."""

import json
from uuid import uuid4

import asyncpg
from msgspec.structs import replace

from adapters.postgres.codec import StoredRow, decode_all
from adapters.postgres.data_keys import Vault
from commands.account import RegisterAccount
from commands.message import EditMessage, PostMessage
from commands.room import OpenRoom
from domain.events import Caller
from domain.ids import MessageId, RoomId, UserId
from domain.message import MessageEdited, MessagePosted
from tests.deployments import MASTER, ledger

SELECT_DATA = "SELECT topic, convert_from(data, 'UTF8') FROM record.events ORDER BY position"
SELECT_POSTED = """
    SELECT position, stream, version, topic, data, meta, room_id, recorded_at FROM record.events
    WHERE topic = 'message.posted'
"""


async def test_nothing_is_left_out_where_it_is_the_default(database_url: str) -> None:
    async with ledger(database_url) as (db, record, command_bus):
        ada, room_id, message_id = UserId(uuid4()), RoomId(uuid4()), MessageId(uuid4())
        await command_bus.do(RegisterAccount(ada, "ada@example.com", "ada", "hash"), Caller())
        await command_bus.do(OpenRoom(room_id, "Lobby"), Caller(user_id=ada))
        await command_bus.do(PostMessage(room_id, message_id, "hello"), Caller(user_id=ada))
        await command_bus.do(EditMessage(message_id, "bye"), Caller(user_id=ada))
        owner = await asyncpg.connect(database_url)
        rows = {topic: json.loads(data) for topic, data in await owner.fetch(SELECT_DATA)}
        await owner.close()
        assert rows["message.posted"].keys() == {"message_id", "room_id", "sender_id", "message_type", "sealed"}
        assert rows["message.edited"]["reply_to"] is None, "it has no default"
        posted, edited = (await record.after(0, limit=100))[-2:]
        assert posted.event == MessagePosted(message_id, room_id, ada, "hello")
        assert isinstance(edited.event, MessageEdited) and edited.event.reply_to is None
        assert not posted.erased
        [row] = await db.all(StoredRow, SELECT_POSTED)
        before = {"file_id": None, "reply_to": None, "mentions": [], **json.loads(row.data)}
        [as_before] = await decode_all([replace(row, data=json.dumps(before).encode())], Vault(db, MASTER))
        assert as_before == posted, "a row of releases before says it"
