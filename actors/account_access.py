"""How the accounts of the settings are reached: their own addresses, or paper exchanges that this service runs."""

from __future__ import annotations

from adapters.exchange.access import AccountAccess
from adapters.paper_launcher import PaperLauncher
from config.settings import Account as AccountSettings
from config.settings import Settings

PAPER_KEY = "paper"


def account_access(
    name: str, account: AccountSettings, exchange: PaperLauncher | None, *, testnet: bool
) -> AccountAccess:
    """How to reach an account: the paper exchange's address and keys in paper mode, the settings' own otherwise.

    Binance's testnet is its demo trading (VENUES B.4), unless an address of its own is given.
    """
    endpoint = exchange.running() if exchange is not None else None
    return AccountAccess(
        account=name,
        exchange=account.exchange,
        api_key=account.api_key.get_secret_value() or (PAPER_KEY if endpoint is not None else ""),
        secret=account.secret.get_secret_value() or (PAPER_KEY if endpoint is not None else ""),
        rest_url=endpoint.rest_url if endpoint is not None else account.rest_url or None,
        ws_url=endpoint.ws_url if endpoint is not None else account.ws_url or None,
        demo=account.demo or (testnet and not account.rest_url),
        hedge_mode=account.hedge_mode,
    )


def paper_options(settings: Settings, account: AccountSettings) -> list[str]:
    """The paper exchange's command line for an account."""
    paper = settings.paper
    options = ["--dialect", account.exchange, "--seed", str(paper.seed), "--balance", str(paper.balance)]
    options += ["--volatility", str(paper.volatility), "--latency-ms", str(paper.latency_ms)]
    options += ["--speed", str(paper.tape_speed), "--bar-order", paper.bar_order]
    options += ["--key", account.api_key.get_secret_value() or PAPER_KEY]
    options += ["--secret", account.secret.get_secret_value() or PAPER_KEY]
    for tape in paper.tape:
        options += ["--tape", tape]
    if paper.symbols:
        options += ["--symbols", ",".join(paper.symbols)]
    if paper.only_tape:
        options.append("--only-tape")
    if paper.control:
        options.append("--control")
    if account.hedge_mode:
        options.append("--hedge-mode")
    return options
