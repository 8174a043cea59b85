"""Real money is asked for twice: by `mode = "live"`, and once for each account by `--confirm-live`.

The confirmation is kept in the database as a fact, so that a restart needs no flag and a new database or a new account
needs one again. Nothing of ours is imported here: whoever has the database passes its look-up in.
"""

from collections.abc import Callable
from datetime import datetime

from config.settings import Settings


class LiveUnconfirmed(Exception):
    """Live mode without a confirmation; the message says what to do."""


def confirmation_fact(account: str) -> str:
    """The key under which an account's confirmation is kept."""
    return f"live_confirmed:{account}"


def confirmed_live(
    settings: Settings, fact: Callable[[str], object], *, confirm: bool, at: datetime
) -> dict[str, object]:
    """The facts to keep before the first order: empty but for a first live start with `--confirm-live`.

    `fact` looks one up and gives None for what was never kept. Raises LiveUnconfirmed naming the accounts that nobody
    has confirmed, and what `fact` raises.
    """
    if settings.service.mode != "live":
        return {}
    unconfirmed = [name for name in settings.accounts if fact(confirmation_fact(name)) is None]
    if unconfirmed and not confirm:
        names = ", ".join(unconfirmed)
        raise LiveUnconfirmed(
            f"service.mode = live: real money, and {names} has never been confirmed with this database. Check the "
            "settings (`python main.py check`), then start once with `python main.py run --confirm-live`"
        )
    return {confirmation_fact(name): at.isoformat() for name in unconfirmed}
