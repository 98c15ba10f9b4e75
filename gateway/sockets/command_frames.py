"""Command frames: those that change something. Each becomes a command, as the same request by HTTP does, and gets a reply."""

from uuid import UUID

from commands.message import DeleteMessage, EditMessage, PostMessage
from commands.reading import MarkRead
from commands.unit_of_work import Outcome
from domain.ids import FileId, MessageId, RoomId
from domain.message import MESSAGE
from gateway.http.derived_ids import require_no_system_message
from gateway.protocol import server_frames
from gateway.protocol.client_frames import Delete, Edit, Read, Send
from gateway.realtime.connection import Connection
from gateway.routes.message import require_free
from gateway.routes.reading import mark
from gateway.services import House
from gateway.sockets.channel import Channel

CommandFrame = Send | Edit | Delete | Read


class CommandFrames:
    """One socket's."""

    def __init__(self, services: House, channel: Channel, connection: Connection) -> None:
        self._services = services
        self._channel = channel
        self._connection = connection

    async def execute(self, frame: CommandFrame) -> None:
        """Do what a frame asks, and reply with the position. Raise `Refused` if it may not be done."""
        match frame:
            case Send():
                await self._post(frame)
            case Edit():
                await self._require_no_system_message(frame.message_id)
                edit = EditMessage(MessageId(frame.message_id), frame.content, frame.version)
                await self._change_message(frame, edit)
            case Delete():
                await self._require_no_system_message(frame.message_id)
                await self._change_message(frame, DeleteMessage(MessageId(frame.message_id), frame.version))
            case Read():
                command = MarkRead(RoomId(frame.room_id), frame.position)
                caller = self._channel.caller(self._connection.access)
                self._reply(frame, await mark(self._services, caller, command))

    async def _post(self, frame: Send) -> None:
        caller = self._channel.caller(self._connection.access)
        if frame.message_id is not None:
            await require_free(self._services, caller, RoomId(frame.room_id), frame.message_id)
        message_id = MessageId(frame.message_id or self._services.desk.new_id())
        outcome = await self._services.desk.do(_post_command(frame, message_id), caller)
        message = outcome.folded(MESSAGE, message_id).state
        assert message is not None, "an accepted post left a message"
        self._services.reads.wrote(self._connection.access.user_id, outcome.position)
        self._connection.send(
            server_frames.reply(frame.id, position=message.position, message_id=message_id, duplicate=not outcome.facts)
        )

    async def _change_message(self, frame: Edit | Delete, command: EditMessage | DeleteMessage) -> None:
        caller = self._channel.caller(self._connection.access, frame.reason)
        self._reply(frame, await self._services.desk.do(command, caller))

    async def _require_no_system_message(self, message_id: UUID) -> None:
        await require_no_system_message(self._services.db, self._connection.access.user_id, message_id)

    def _reply(self, frame: CommandFrame, outcome: Outcome) -> None:
        self._services.reads.wrote(self._connection.access.user_id, outcome.position)
        self._connection.send(server_frames.reply(frame.id, position=outcome.position))


def _post_command(frame: Send, message_id: MessageId) -> PostMessage:
    return PostMessage(
        RoomId(frame.room_id),
        message_id,
        frame.content,
        frame.message_type,
        None if frame.file_id is None else FileId(frame.file_id),
        None if frame.reply_to is None else MessageId(frame.reply_to),
    )
