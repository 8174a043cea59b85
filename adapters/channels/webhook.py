"""Webhooks: Slack's (slack+https://…), which answers 'ok', and anybody's (https://…), which gets the alerts as JSON."""

from __future__ import annotations

from adapters.channels.http_post import Poster, shown
from adapters.channels.interface import Message, NotDelivered

SLACK = "slack+"
LONGEST_SLACK = 35_000
_SLACK_REFUSES = ("invalid_payload", "no_text", "msg_too_long", "invalid_blocks", "too_many_attachments")
_REFUSES = (400, 413, 415, 422)


class Slack:
    """An incoming webhook of Slack's."""

    tag = "NOTICE"

    def __init__(self, name: str, address: str) -> None:
        """`address` begins with slack+."""
        self.name = name
        self._url = address.removeprefix(SLACK)
        self._poster = Poster()

    def deliver(self, message: Message) -> None:
        """See `Channel`."""
        text = message.text[:LONGEST_SLACK].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        status, answer, wait_s = self._poster.post(self._url, {"text": text or "(no text)"})
        if status == 200 and answer.strip() == "ok":
            return
        refused = any(word in answer for word in _SLACK_REFUSES)
        raise NotDelivered(f"HTTP {status}: {shown(answer)}", retry_after_s=wait_s, refused=refused)


class Webhook:
    """Anybody's: any 2xx means that it was taken."""

    tag = "NOTICE"

    def __init__(self, name: str, address: str) -> None:
        """See the file's docstring."""
        self.name = name
        self._url = address
        self._poster = Poster()

    def deliver(self, message: Message) -> None:
        """See `Channel`. The ids let a receiver drop what it has already: delivery may repeat."""
        body = {
            "source": "holdfast",
            "severity": message.severity.value,
            "text": message.text,
            "alerts": [
                {
                    "id": alert.alert_id,
                    "type": alert.type,
                    "severity": alert.severity.value if alert.severity is not None else None,
                    "symbol": alert.symbol,
                    "position_id": alert.position_id,
                    "at": alert.at.isoformat(),
                    "text": alert.text,
                }
                for alert in message.alerts
            ],
        }
        status, answer, wait_s = self._poster.post(self._url, body)
        if not 200 <= status < 300:
            reason = f"HTTP {status}: {shown(answer)}"
            raise NotDelivered(reason, retry_after_s=wait_s, refused=status in _REFUSES)
