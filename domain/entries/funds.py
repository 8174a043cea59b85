"""What an account has to open positions with, as it was last read and as its stream has told since.

Rules of this file: nobody is asked for an entry's sake. A complete reading counts until a newer one; what the stream
tells of the wallet alone moves it by as much as the wallet has moved.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Funds:
    """Money of one account in its margin currency.

    `wallet` without and `equity` with the unrealised P&L; `free`: not bound as margin. `read_at`: our clock when all
    of it was asked for, or told whole.
    """

    wallet: Decimal
    equity: Decimal
    free: Decimal
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """What a stream told at `heard_at` (our clock); a venue that tells the wallet alone leaves the others None."""

    wallet: Decimal
    heard_at: datetime
    equity: Decimal | None = None
    free: Decimal | None = None


def known(read: Funds | None, heard: Wallet | None) -> Funds | None:
    """The newest that is known of an account's money."""
    if heard is None or (read is not None and heard.heard_at <= read.read_at):
        return read
    if heard.equity is not None and heard.free is not None:
        return Funds(wallet=heard.wallet, equity=heard.equity, free=heard.free, read_at=heard.heard_at)
    if read is None:
        return None
    moved = heard.wallet - read.wallet
    return replace(read, wallet=heard.wallet, equity=read.equity + moved, free=read.free + moved)
