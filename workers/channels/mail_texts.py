"""Mails of notices: what they say, in plain text and HTML, and the headers by which mail programs thread and stop them."""

from html import escape

from adapters.mail_links import MailLinks
from domain.ids import RecordId
from domain.ports.channels import Notice
from domain.ports.mail import Mail

# What one of a kind is called, and many of them, if nothing is shown; and what is said if something is.
SENTENCES = {
    "mention": ("Somebody mentioned you", "You were mentioned {} times", "{} mentioned you"),
    "direct": ("Somebody wrote to you", "You have {} new direct messages", "{} wrote to you"),
    "thread": ("There is an answer in a thread of yours", "There are {} answers in threads of yours", "{} answered in a thread"),
    "keyword": ("One of your keywords was used", "Your keywords were used {} times", "{} used one of your keywords"),
    "invitation": ("You were invited to a room", "You have {} invitations", "{} invited you"),
    "report": ("A message was reported to you", "{} messages were reported to you", "{} reported a message"),
    "file": ("A file of yours has been looked at", "{} files of yours have been looked at", "A file of yours has been looked at"),
}  # fmt: skip
OTHERWISE = ("There is a new message", "There are {} new messages", "{} wrote")
HIDDEN = "This mail does not say what was written, or by whom. You can have it shown in your settings."
STOP = "To get no more of these mails: {}"
PAGE = "<!doctype html><html lang=en><meta charset=utf-8><body><p>{}</p>{}<p>{}</p><p style='color:#666'>{}</p></body></html>"


def mail_of(notice: Notice, to: str, *, record_id: RecordId, links: MailLinks, links_url: str) -> Mail:
    """Return the mail of a notice, or of a summary of several. The same notice makes the same mail."""
    sentence = _sentence(notice)
    where = f"{links_url}#message={notice.message_id}" if links_url and notice.message_id else links_url
    stop = links.unsubscribe(notice.account_id)
    said = notice.text or ("" if _is_shown(notice) else HIDDEN)
    parts = (sentence + ".", said, where, STOP.format(stop) if stop else "")
    quoted = (
        f"<blockquote>{_lines(notice.text)}</blockquote>" if notice.text else f"<p>{escape(said)}</p>" if said else ""
    )
    link = f'<a href="{escape(where)}">Open</a>' if where else ""
    foot = f'<a href="{escape(stop)}">Stop these mails</a>' if stop else ""
    return Mail(
        to,
        sentence,
        "\n\n".join(part for part in parts if part) + "\n",
        html=PAGE.format(escape(sentence) + ".", quoted, link, foot),
        headers=_headers(notice, record_id, links, stop),
    )


def _sentence(notice: Notice) -> str:
    one, many, shown = SENTENCES.get(notice.kind, OTHERWISE)
    if notice.count > 1:
        sentence = many.replace("{}", str(notice.count))
    else:
        sentence = shown.replace("{}", _line(notice.actor_name)) if notice.actor_name else one
    return f"{sentence} in {_line(notice.room_name)}" if notice.room_name else sentence


def _headers(notice: Notice, record_id: RecordId, links: MailLinks, stop: str | None) -> tuple[tuple[str, str], ...]:
    """Return the headers; a room is a thread, whose first mail there never was (as others do it)."""
    user_id = notice.account_id
    thread = links.message_id(user_id, f"{record_id} room {notice.room_id}") if notice.room_id else None
    return (
        ("Message-ID", links.message_id(user_id, f"{record_id} {notice.position} {notice.kind}")),
        *((("In-Reply-To", thread), ("References", thread)) if thread else ()),
        *((("List-Unsubscribe", f"<{stop}>"), ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")) if stop else ()),
    )


def _is_shown(notice: Notice) -> bool:
    return any((notice.text, notice.room_name, notice.actor_name))


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _lines(text: str) -> str:
    return escape(text).replace("\n", "<br>")
