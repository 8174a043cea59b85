"""Telegram's bot API: one chat an address, tgram://BOT_TOKEN/CHAT. Plain text: a fault in mark-up loses a message."""

from __future__ import annotations

import json
import re
from typing import Any

from adapters.channels.http_post import Poster, shown
from adapters.channels.interface import Message, NotDelivered, WrongAddress

ADDRESS = re.compile(r"tgram://(?P<token>\d+:[\w-]{5,})/(?P<chat>-?\d+|@\w+)/?")
LONGEST = 4_096
_OF_THE_MESSAGE = ("message is too long", "message text is empty", "can't parse", "must be encoded")


class Telegram:
    """One bot that speaks to one chat."""

    tag = "TG"

    def __init__(self, name: str, address: str, base_url: str) -> None:
        """Raises WrongAddress."""
        found = ADDRESS.fullmatch(address)
        if found is None:
            raise WrongAddress("must be tgram://BOT_TOKEN/CHAT, with a chat's number or @name")
        self.name = name
        self._url = f"{base_url.rstrip('/')}/bot{found['token']}/sendMessage"
        self._chat = found["chat"]
        self._poster = Poster()

    def deliver(self, message: Message) -> None:
        """See `Channel`."""
        body = {"chat_id": self._chat, "text": message.text[:LONGEST] or "(no text)"}
        status, text, wait_s = self._poster.post(self._url, body | {"link_preview_options": {"is_disabled": True}})
        try:
            answer: Any = json.loads(text)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise NotDelivered(f"HTTP {status}: {shown(text)}", retry_after_s=wait_s)
        if status == 200 and answer.get("ok") is True:
            return
        said = str(answer.get("description") or shown(text))
        told = answer.get("parameters")
        after = told.get("retry_after") if isinstance(told, dict) else None
        if isinstance(after, int) and not isinstance(after, bool):
            wait_s = float(after)
        refused = status == 400 and any(words in said.lower() for words in _OF_THE_MESSAGE)
        raise NotDelivered(f"HTTP {status}: {said}", retry_after_s=wait_s, refused=refused)
