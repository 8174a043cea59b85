"""The one classifier: what a failed request means. Everything that looks at a code or at a ccxt class is here.

Rules, in this order:
1. A request of which no byte left is certainly without effect, whatever the exception.
2. A code in the venue's table decides (VENUES D), as far as the text does not narrow it.
3. HTTP 408 and 5xx: unknown. A reply of success that could not be read: unknown. 429, 418, 401, 403, 451: refused.
4. ccxt's class, where it dropped the code; then any other 4xx or any code we do not know: refused.
5. Whatever is left may have been carried out: unknown (LAWS S12).
No text leaves here with a key, a secret, a signature or a listen key in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from adapters.exchange.error_codes import BY_CLASS, Codes, Effect, Meaning
from adapters.exchange.interface import VenueFailure
from adapters.exchange.transport import Receipt
from domain.orders import RejectReason

# Whole, up to what ends a JSON number: the beginning of a code that was cut off is another code.
_CODE = re.compile(r"\"(?:code|retCode)\"\s*:\s*\"?(-?\d+)(?=[\",}\s])")
_SUCCESS = frozenset({"0", "200"})
_SECRET = re.compile(
    r"(signature|listenKey|api_?key|secret|X-MBX-APIKEY|X-BAPI-[A-Z-]+)(\"?'?\s*[:=]\s*\"?'?)[^&\s\"',}]+",
    re.IGNORECASE,
)
_LONGEST_TEXT = 300
_CREDENTIALS_REFUSED = frozenset({401, 451})
_SLOW_DOWN = frozenset({403, 418, 429})
_BANNED = 418
# Binance's text names the end (venue time); Bybit's 403 has these words. A 403 without them may be anybody's.
_BANNED_UNTIL = re.compile(r"banned until (\d{13})")
_BANNED_WORDS = "too frequent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a failure means. `certain`: the request had no effect. `retry_after_s` is what the venue asked for.

    `banned`: every further request is refused and prolongs that; `banned_until_ms`, venue time, if the venue said it.
    """

    reason: RejectReason
    effect: Effect
    code: str
    text: str
    retry_after_s: int | None
    banned: bool = False
    banned_until_ms: int | None = None

    @property
    def certain(self) -> bool:
        """Whether nobody has to ask what became of the request."""
        return self.effect not in (Effect.UNKNOWN, Effect.EXISTS)


class ClassifiedFailure(VenueFailure):
    """A VenueFailure with its verdict: inside this package the effect decides what to answer."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(
            verdict.reason, verdict.code, verdict.text, certain=verdict.certain, retry_after_s=verdict.retry_after_s
        )
        self.effect = verdict.effect


def classify(error: BaseException, codes: Codes, receipt: Receipt, secrets: Iterable[str] = ()) -> Verdict:
    """What `error` means, raised by a request of which `receipt` is known to a venue that speaks in `codes`."""
    raw = f"{type(error).__name__}: {error}"
    code = _code(raw)
    meaning = _meaning(error, raw, codes, code, receipt)
    banned_until = _BANNED_UNTIL.search(raw)
    return Verdict(
        reason=meaning.reason,
        effect=meaning.effect,
        code=code or (f"HTTP {receipt.status}" if receipt.status is not None else type(error).__name__),
        text=redact(raw, secrets),
        retry_after_s=receipt.retry_after_s,
        banned=meaning.reason is RejectReason.RATE_LIMIT and _is_ban(raw, receipt),
        banned_until_ms=int(banned_until.group(1)) if banned_until is not None else None,
    )


def _code(raw: str) -> str:
    """The venue's code of a refusal; empty for none, and for the code of success in a reply that made no sense else."""
    found = _CODE.search(raw)
    return "" if found is None or found.group(1) in _SUCCESS else found.group(1)


def _is_ban(raw: str, receipt: Receipt) -> bool:
    banned = receipt.status == _BANNED or _BANNED_UNTIL.search(raw) is not None
    return banned or (receipt.status == HTTPStatus.FORBIDDEN and _BANNED_WORDS in raw.lower())


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without anything that could sign a request or open a stream, cut to a readable length."""
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _SECRET.sub(r"\1\2***", text)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"


def _meaning(error: BaseException, raw: str, codes: Codes, code: str, receipt: Receipt) -> Meaning:
    of_class = _by_class(error)
    if not receipt.sent:
        reason = of_class.reason if of_class is not None else RejectReason.OTHER
        return Meaning(reason, Effect.NONE)
    known = codes.meaning(code, raw)
    if known is not None:
        return known
    status = receipt.status
    if status is not None and (status >= 500 or status == 408):
        reason = of_class.reason if of_class is not None else RejectReason.TRANSIENT
        return Meaning(reason, Effect.UNKNOWN)
    if status in _SLOW_DOWN:
        return Meaning(RejectReason.RATE_LIMIT)
    if status in _CREDENTIALS_REFUSED:
        return Meaning(RejectReason.CREDENTIALS)
    refused = bool(code) or (status is not None and 400 <= status < 500)
    if of_class is not None:
        return Meaning(of_class.reason) if refused and of_class.effect is Effect.UNKNOWN else of_class
    return Meaning(RejectReason.OTHER) if refused else Meaning(RejectReason.TRANSIENT, Effect.UNKNOWN)


def _by_class(error: BaseException) -> Meaning | None:
    """By name, most special first, so that ccxt need not be imported to judge its exceptions."""
    for kind in type(error).__mro__:
        if kind.__name__ in BY_CLASS:
            return BY_CLASS[kind.__name__]
    return None
