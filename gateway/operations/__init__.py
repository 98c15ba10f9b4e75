"""Operations: what a request or a frame asks for, as a command; and the one answer that both are given. A file a feature.

`FRAMES` is the package's table of frames that become commands: a feature's own table is one more line.
"""

from collections.abc import Mapping

from gateway.operations import message, pin, reaction, reading
from gateway.operations.execution import FrameHandler
from gateway.protocol.client_frames import ClientFrame

FRAMES: Mapping[type[ClientFrame], FrameHandler] = {
    **message.FRAMES,
    **pin.FRAMES,
    **reaction.FRAMES,
    **reading.FRAMES,
}
