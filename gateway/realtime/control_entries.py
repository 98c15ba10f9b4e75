"""Control entries: the control lane's, for every gateway. Sessions that ended, accounts, and each user's own frames."""

from gateway.protocol import close_codes
from gateway.protocol.framing import text_frame
from gateway.realtime.connections import Connections
from gateway.realtime.session_watch import Sessions, SessionWatch
from projections.frames import Control


class ControlEntries:
    def __init__(self, sessions: Sessions, watch: SessionWatch, connections: Connections) -> None:
        self._sessions = sessions
        self._watch = watch
        self._connections = connections

    def apply(self, control: Control) -> None:
        """Apply an entry. Applying one again closes nothing twice."""
        if control.activated is not None:
            self._sessions.activate(control.activated)
        self.silence(control)
        self.send_own_frames(control)

    def silence(self, control: Control) -> None:
        """Close the sockets of a session that ended, or of an account that was deactivated. Nothing else of an entry is done, so
        that it may be applied later, in the order of its lane."""
        if control.session_ended is not None:
            self._sessions.end(control.session_ended)
        if control.deactivated is not None:
            self._sessions.deactivate(control.deactivated)
        if control.session_ended is not None or control.deactivated is not None:
            self._watch.check_all()

    def send_own_frames(self, control: Control) -> None:
        """Send frames to all sockets of a user. They are not replayed, so a socket that cannot hold one is closed."""
        for own in control.own:
            frame = None
            for connection in self._connections.of_user(own.user_id):
                if connection.outbox.is_overfull:
                    connection.close(close_codes.TOO_SLOW, "come back, and read your lists again")
                else:
                    frame = frame or text_frame(own.frame.encode())
                    connection.outbox.push(frame)
