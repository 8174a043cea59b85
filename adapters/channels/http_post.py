"""One request with time-outs, and what went wrong in words that hold no address: there a token may stand.

httpx logs every address at INFO, so it is told to be quiet here, where it is imported.
"""

from __future__ import annotations

import logging
import threading

import httpx

from adapters.channels.interface import NotDelivered

for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_S, ANSWER_S = 3.0, 7.0
SHOWN = 200
TOO_MANY, UNAVAILABLE = 429, 503


class Poster:
    """Connects anew for each message: a kept connection would be found dead by the next alert."""

    def __init__(self) -> None:
        """Nothing is opened before the first message."""
        self._lock = threading.Lock()
        self._client: httpx.Client | None = None

    def post(self, url: str, body: object) -> tuple[int, str, float | None]:
        """Status, text of the answer, and how long it says to wait. Raises NotDelivered: no whole answer came."""
        return self._asked("POST", url, body)

    def get(self, url: str) -> None:
        """Ask, and be content with any 2xx. Raises NotDelivered."""
        status, text, _ = self._asked("GET", url, None)
        if not 200 <= status < 300:
            raise NotDelivered(f"HTTP {status}: {shown(text)}")

    def _asked(self, method: str, url: str, body: object) -> tuple[int, str, float | None]:
        try:
            answer = self._opened().request(method, url, json=body)
        except httpx.TimeoutException as error:
            raise NotDelivered(f"no answer in time ({type(error).__name__})") from None
        except httpx.InvalidURL:
            raise NotDelivered("the address is not valid") from None
        except (httpx.HTTPError, OSError, ValueError) as error:
            raise NotDelivered(f"{type(error).__name__}: {_without(str(error), url)}") from None
        return answer.status_code, answer.text, _seconds(answer.headers.get("retry-after"))

    def _opened(self) -> httpx.Client:
        with self._lock:
            if self._client is None:
                self._client = httpx.Client(
                    timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
                    limits=httpx.Limits(max_keepalive_connections=0),
                    follow_redirects=False,
                )
            return self._client


def shown(text: str) -> str:
    """The beginning of an answer, on one line."""
    return " ".join(text.split())[:SHOWN] or "an empty answer"


def _seconds(text: str | None) -> float | None:
    """A Retry-After in seconds; as a date it is left alone."""
    return float(text) if text is not None and text.strip().isdigit() else None


def _without(text: str, url: str) -> str:
    return text.replace(url, "the address")
