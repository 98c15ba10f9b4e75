"""Command frames: those that change something. Each becomes a command, as the same request by HTTP does, and gets a reply."""

from commands.unit_of_work import Outcome
from gateway.operations import message, pin, reaction, reading
from gateway.protocol import server_frames
from gateway.protocol.client_frames import Delete, Edit, Pin, React, Read, Send, Unpin, Unreact
from gateway.realtime.connection import Connection
from gateway.services import Services
from gateway.sockets.channel import Channel

CommandFrame = Send | Edit | Delete | Read | React | Unreact | Pin | Unpin


class CommandFrames:
    """One socket's."""

    def __init__(self, services: Services, channel: Channel, connection: Connection) -> None:
        self._services = services
        self._channel = channel
        self._connection = connection

    async def execute(self, frame: CommandFrame) -> None:
        """Do what a frame asks, and reply with the position. Raise `DomainError` if it may not be done."""
        services = self._services
        reason = frame.reason if isinstance(frame, (Edit, Delete)) else None
        caller = self._channel.caller(self._connection.access, reason)
        match frame:
            case Send():
                sent = await message.send(services, caller, frame.room_id, frame.message_id, frame)
                self._connection.send(
                    server_frames.reply(
                        frame.id, position=sent.position, message_id=sent.message_id, duplicate=sent.is_duplicate
                    )
                )
            case Edit():
                edited = message.edit(services, caller, frame.message_id, frame.content, frame.version)
                self._reply(frame, await edited)
            case Delete():
                self._reply(frame, await message.delete(services, caller, frame.message_id, frame.version))
            case Read():
                self._reply(frame, await reading.mark(services, caller, frame.room_id, frame.position))
            case React():
                self._reply(frame, await reaction.add(services, caller, frame.message_id, frame.emoji))
            case Pin():
                self._reply(frame, await pin.pin(services, caller, frame.message_id))
            case Unpin():
                self._reply(frame, await pin.unpin(services, caller, frame.message_id))
            case Unreact():
                self._reply(frame, await reaction.remove(services, caller, frame.message_id, frame.emoji))

    def _reply(self, frame: CommandFrame, outcome: Outcome) -> None:
        self._connection.send(server_frames.reply(frame.id, position=outcome.position))
