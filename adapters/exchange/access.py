"""How to reach one account of a venue: keys, addresses, deadlines. Secrets never appear in its repr."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountAccess:
    """Everything that a client or a stream of one account needs.

    `rest_url` and `ws_url` each replace scheme, host and port of every endpoint. `receive_window_ms` is how long the
    venue takes a request after its time stamp; with `skew_margin_ms` on top, 'no such order' becomes proof.
    `hedge_mode` is the position mode that the account is in: we never change it.
    """

    account: str
    exchange: str
    api_key: str = field(repr=False)
    secret: str = field(repr=False)
    rest_url: str | None = None
    ws_url: str | None = None
    demo: bool = False
    hedge_mode: bool = False
    timeout_s: float = 5.0
    receive_window_ms: int = 2000
    skew_margin_ms: int = 1000
    silence_s: float = 5.0
    keep_alive_s: float = 10.0
    listen_key_refresh_s: float = 1200.0

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any text."""
        return tuple(text for text in (self.api_key, self.secret) if text)
