"""Mail: SMTP, and a folder in which the mails can be read (the embedded default)."""

import asyncio
import os
from email import policy
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from domain.ports.mail import Mail, MailUnavailableError
from domain.text import mail_address

MAIL_SECONDS = 20.0

# A header is not broken into lines: some mail programs do not put the address of List-Unsubscribe together again.
LONG_LINES = policy.default.clone(max_line_length=998)

PORTS = {"smtp": 587, "smtps": 465, "smtp+plain": 25}


class FolderMail:
    """The port `domain.ports.Mails`: a file a mail, `.eml`, readable by this user alone."""

    def __init__(self, folder: Path, *, sender: str) -> None:
        self._folder = folder
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        await asyncio.to_thread(self._write, message(mail, self._sender))

    def _write(self, written: EmailMessage) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = (written["Message-ID"] or "").strip("<>").replace("/", "_")
        try:
            handle = os.open(self._folder / f"{name}.eml", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return  # the same mail once more, as its Message-ID says
        with os.fdopen(handle, "wb") as file:
            file.write(bytes(written))


class SmtpMail:
    """The same over SMTP: `smtp://` asks for STARTTLS, `smtps://` is TLS from the start, `smtp+plain://` is neither."""

    def __init__(self, url: str, *, sender: str) -> None:
        parts = urlsplit(url)
        self._scheme = parts.scheme
        self._host = parts.hostname or "localhost"
        self._port = parts.port or PORTS[parts.scheme]
        self._user = unquote(parts.username) if parts.username else None
        self._password = unquote(parts.password) if parts.password else None
        self._sender = sender

    async def send(self, mail: Mail) -> None:
        import aiosmtplib  # by whom it is used: a start costs less without it

        try:
            await aiosmtplib.send(
                message(mail, self._sender),
                hostname=self._host,
                port=self._port,
                username=self._user,
                password=self._password,
                use_tls=self._scheme == "smtps",
                start_tls=self._scheme == "smtp",
                timeout=MAIL_SECONDS,
            )
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            # What the server says may quote the mail: only the kind of failure is told.
            raise MailUnavailableError(
                f"{self._host}:{self._port} did not take a mail: {type(error).__name__}"
            ) from None


def open_mail(url: str, *, folder: Path, sender: str) -> FolderMail | SmtpMail:
    """Return what a mail URL names; the folder if it is empty."""
    parts = urlsplit(url)
    if parts.scheme in PORTS:
        return SmtpMail(url, sender=sender)
    return FolderMail(Path(unquote(parts.path)) if url else folder, sender=sender)


def message(mail: Mail, sender: str) -> EmailMessage:
    """Return the mail as it is sent; a header that would hold a line break is refused by the library."""
    made = EmailMessage(policy=LONG_LINES)
    made["From"], made["To"], made["Subject"] = sender, mail_address(mail.to), mail.subject
    made["Date"], made["Message-ID"] = formatdate(), make_msgid(domain="hansard.invalid")
    made["Auto-Submitted"] = "auto-generated"
    for name, value in mail.headers:
        del made[name]
        made[name] = value
    made.set_content(mail.text)
    if mail.html is not None:
        made.add_alternative(mail.html, subtype="html")
    return made
