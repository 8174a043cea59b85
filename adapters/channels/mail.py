"""E-mail by SMTP: smtp://USER:PASSWORD@HOST:PORT?from=A&to=B,C (starttls where it is offered), smtps://… for TLS."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from urllib.parse import parse_qs, unquote, urlsplit

from adapters.channels.interface import Message, NotDelivered, WrongAddress

ANSWER_S = 7.0
PORTS = {"smtp": 587, "smtps": 465}
LONGEST_SUBJECT = 120
_REFUSES = (552, 554)


class Mail:
    """One sender, one or several receivers."""

    tag = "NOTICE"

    def __init__(self, name: str, address: str) -> None:
        """Raises WrongAddress."""
        self.name = name
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError:
            raise WrongAddress("must be smtp://USER:PASSWORD@HOST:PORT?from=A&to=B") from None
        asked = parse_qs(parts.query)
        senders, receivers = asked.get("from", []), ",".join(asked.get("to", []))
        if not parts.hostname or len(senders) != 1 or not receivers:
            raise WrongAddress("must be smtp://USER:PASSWORD@HOST:PORT?from=A&to=B")
        self._sender, self._receivers = senders[0], [each.strip() for each in receivers.split(",")]
        self._host, self._port = parts.hostname, port or PORTS[parts.scheme]
        self._tls = parts.scheme == "smtps"
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")

    def deliver(self, message: Message) -> None:
        """See `Channel`. Taken when the server has taken it for all receivers."""
        letter = EmailMessage()
        subject = " ".join(message.text.splitlines()[:1])[:LONGEST_SUBJECT] or "(no text)"
        letter["Subject"] = f"[Holdfast] {message.severity.name}: {subject}"
        letter["From"], letter["To"] = self._sender, ", ".join(self._receivers)
        letter.set_content(message.text)
        try:
            with self._connected() as server:
                refused = server.send_message(letter)
        except smtplib.SMTPResponseException as error:
            said = error.smtp_error
            text = said.decode(errors="replace") if isinstance(said, bytes) else said
            reason = f"{type(error).__name__} {error.smtp_code}: {text}"
            raise NotDelivered(reason, refused=error.smtp_code in _REFUSES) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise NotDelivered(f"receivers refused: {_codes(error.recipients)}") from None
        except (smtplib.SMTPException, OSError, ValueError) as error:
            raise NotDelivered(f"{type(error).__name__}: {error}") from None
        if refused:
            raise NotDelivered(f"receivers refused: {_codes(refused)}")

    def _connected(self) -> smtplib.SMTP:
        if self._tls:
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                self._host, self._port, timeout=ANSWER_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=ANSWER_S)
        try:
            server.ehlo()
            if not self._tls and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            if self._user:
                server.login(self._user, self._password)
        except BaseException:
            server.close()
            raise
        return server


def _codes(refused: dict[str, tuple[int, bytes]]) -> str:
    return ", ".join(f"{code} {said.decode(errors='replace')}" for code, said in refused.values())
