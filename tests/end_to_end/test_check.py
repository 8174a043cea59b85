"""`python main.py check`, and a service whose account is not as the settings say."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from adapters.admin.protocol import REFUSED, AdminError
from adapters.paper_launcher import PaperLauncher
from tests.actors.order_path.house import PROGRAM, Exchange
from tests.end_to_end.command import run_main
from tests.end_to_end.service import Sections, ServiceProcess, running, settings_text

KEYS = {"HOLDFAST_ACCOUNTS__MAIN__API_KEY": "paper", "HOLDFAST_ACCOUNTS__MAIN__SECRET": "paper"}
PASSWORD = "a-planted-password"
CHANNELS = {
    "HOLDFAST_NOTIFIER__URLS__LETTERS": f"smtp://robot:{PASSWORD}@127.0.0.1?from=robot@here",
    "HOLDFAST_NOTIFIER__URLS__ODD": f"nobody-knows://{PASSWORD}",
    "HOLDFAST_NOTIFIER__URLS__PAGER": "https://127.0.0.1:1/hook",
}
LINE_OF = {"WRONG": "WRONG    {}: ", "warning": "warning  {}: "}


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    exchange = Exchange(tmp_path_factory.mktemp("exchange"))
    yield exchange
    exchange.launcher.stop()


def check(
    folder: Path, exchange: Exchange | None, environ: Mapping[str, str] = KEYS, **changes: dict[str, Any]
) -> tuple[int, str]:
    """The exit code of a check with these sections, and what it printed."""
    account: dict[str, Any] = {"exchange": "binanceusdm"}
    if exchange is not None:
        account |= {"rest_url": exchange.endpoint.rest_url, "ws_url": exchange.endpoint.ws_url}
    sections: dict[str, dict[str, Any]] = {
        "service": {"state_dir": str(folder / "state")},
        "accounts.main": account,
    }
    for name, values in changes.items():
        key = name.replace("__", ".")
        sections[key] = {**sections.get(key, {}), **values}
    settings = folder / "settings.toml"
    settings.write_text(settings_text(sections))
    done = run_main("check", "--settings", str(settings), environ=environ)
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_everything_that_is_wrong_is_said_in_one_run(tmp_path: Path, exchange: Exchange) -> None:
    """Seven wrong things and three doubtful ones at once: database, channels, key, modes, clock, symbols."""
    exchange.control("rights", withdraw=True, trade=False)
    exchange.control("mode", hedge=True)
    exchange.control("skew", ms=2_600)
    try:
        code, said = check(
            tmp_path,
            exchange,
            KEYS | CHANNELS,
            database={"url": "postgresql://holdfast@127.0.0.1:1/holdfast"},
            accounts__main={"margin_mode": "isolated", "leverage": 125, "exclude": ["BTCUSDTT"]},
            entries={"allow_list": ["BTCUSDT", "ETHUSDT", "FOOUSDT"]},
        )
    finally:
        exchange.control("rights", withdraw=False, trade=True)
        exchange.control("mode", hedge=False)
        exchange.control("skew", ms=0)
    assert code == 1
    for wrong in ("database_away", "channel_address", "may_not_trade", "position_mode", "margin_mode", "clock_skew"):
        assert LINE_OF["WRONG"].format(wrong) in said, wrong
    for doubtful in ("may_withdraw", "unknown_symbol"):
        assert LINE_OF["warning"].format(doubtful) in said, doubtful
    for words in (
        "switch the account to one-way mode",
        "Holdfast never switches it",
        "take that permission from it",
        "FOOUSDT",
        "BTCUSDTT",
        "notifier.urls.letters: must be smtp://",
        "notifier.urls.odd: apprise knows no such address",
        "pager: `ctl notify.test` tries them",
    ):
        assert words in said, words
    assert PASSWORD not in said
    skew = re.search(r"clock is (\d+) ms behind", said)
    assert skew is not None
    assert abs(int(skew[1]) - 2_600) < 1_000, "half of what the question took may be wrong in it"
    assert "7 wrong" in said
    assert not (tmp_path / "state").exists(), "a check changes nothing"


class Bybit(Exchange):
    """A paper exchange that speaks Bybit's dialect."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.launcher = PaperLauncher(directory, PROGRAM, ["--dialect", "bybit", "--volatility", "0", "--control"])
        self.endpoint = self.launcher.start()


def test_a_bybit_account_is_read_as_well(tmp_path: Path) -> None:
    bybit = Bybit(tmp_path / "exchange")
    try:
        code, said = check(tmp_path, bybit, accounts__main={"exchange": "bybit"})
        assert code == 0, said
        assert "balance 10000 USDT, 10000 free, 0 positions open" in said
        bybit.control("rights", withdraw=True, trade=False)
        bybit.control("mode", hedge=True)
        bybit.control("skew", ms=-1_500)
        code, said = check(tmp_path, bybit, accounts__main={"exchange": "bybit", "margin_mode": "isolated"})
    finally:
        bybit.launcher.stop()
    assert code == 1
    for wrong in ("may_not_trade", "position_mode", "margin_mode"):
        assert LINE_OF["WRONG"].format(wrong) in said, wrong
    for doubtful in ("may_withdraw", "clock_skew"):
        assert LINE_OF["warning"].format(doubtful) in said, doubtful
    assert "margin is cross on the whole account" in said


def test_an_account_as_it_should_be(tmp_path: Path, exchange: Exchange) -> None:
    code, said = check(tmp_path, exchange)
    assert code == 0
    assert "nothing wrong, no warnings" in said
    assert "balance 10000 USDT, 10000 free, 0 positions open, 0 of 200 conditional orders" in said


def test_wrong_keys(tmp_path: Path, exchange: Exchange) -> None:
    wrong = {**KEYS, "HOLDFAST_ACCOUNTS__MAIN__SECRET": "dont-print-this-4711"}
    code, said = check(tmp_path, exchange, wrong)
    assert code == 1
    assert said.count("WRONG") == 1
    assert "the exchange refuses the API key" in said
    assert "dont-print-this" not in said


def test_before_the_first_run_nothing_is_wrong(tmp_path: Path) -> None:
    code, said = check(tmp_path, None)
    assert code == 0
    assert "the paper exchange is not running: `run` starts it" in said
    assert "embedded, not running: `run` starts it" in said
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    code, said = check(tmp_path, None)
    assert code == 1
    assert "is not a directory" in said


def test_beside_a_running_service_its_exchange_and_database_are_asked(shared: ServiceProcess) -> None:
    done = shared.main("check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "embedded, running: reachable, the schema is up to date" in done.stdout
    assert f"account main (binanceusdm, {shared.endpoint()['rest_url']})" in done.stdout
    assert " symbols, balance " in done.stdout


@pytest.mark.chaos
def test_a_refused_account_opens_nothing_goes_on_protecting_and_is_mended_without_a_restart(tmp_path: Path) -> None:
    """The operator turns the account to hedge mode between two runs, and back while the service runs."""
    overrides: Sections = {"paper": {"stop_exchange_on_exit": False}}
    with running(tmp_path, overrides) as service:
        service.wait_price("BTCUSDT")
        service.interrupt()
        service.control("mode", hedge=True)
        service.restart()
        refused = service.wait_event("account_refused")
        assert refused["severity"] == "critical"
        assert refused["data"]["code"] == "position_mode"
        with pytest.raises(AdminError) as refusal:
            service.ctl("position.open", account="main", symbol="BTCUSDT", side="long", usd="500")
        assert refusal.value.code == REFUSED
        assert "hedge mode" in refusal.value.message
        assert "ACCOUNT_REFUSED code=position_mode" in service.output.read_text()
        entries = service.ctl("status")["entries"]
        assert entries["open"] is False
        assert "hedge mode" in str(entries["why"])
        service.control("mode", hedge=False)
        service.wait_event("account_mended", limit_s=45)
        opened = service.ctl("position.open", account="main", symbol="BTCUSDT", side="long", usd="500")
        service.wait_state(opened["id"], "ACTIVE")
        service.ctl("position.close", id=opened["id"])
        service.wait_state(opened["id"], "CLOSED")


def test_no_entry_without_free_conditional_slots(shared: ServiceProcess) -> None:
    """A human's conditional orders count too: nine of the symbol's ten, and a move needs one."""
    symbol = "ADAUSDT"
    shared.wait_price(symbol)
    mark = Decimal(shared.exchange("GET", f"/fapi/v1/premiumIndex?symbol={symbol}")["markPrice"])
    placed = [
        shared.control("stop", symbol=symbol, side="SELL", trigger=f"{mark * (90 - n) / 100:.3f}", quantity="10")
        for n in range(9)
    ]

    def refused() -> AdminError | None:
        """By its message; so tiny a position is opened in no case."""
        shared.ctl("reconcile")
        try:
            shared.ctl("position.open", account="main", symbol=symbol, side="long", usd="0.001")
        except AdminError as refusal:
            return refusal if "no_conditional_slots" in refusal.message else None
        raise AssertionError("opened")

    refusal = shared.wait_for(refused, 20, "the human's orders to be counted")
    assert refusal.code == REFUSED
    assert f"on {symbol}, used 9, needed 1, reserve 1, limit 10" in refusal.message
    for order in placed:
        shared.control("cancel", algoId=order["algoId"])
    shared.wait_for(lambda: refused() is None, 20, "the slots to be free again")


def test_paper_mode_does_not_start_at_a_real_exchange(tmp_path: Path) -> None:
    """An address that the mode does not mean is refused before anything is sent there, stops included."""
    settings = tmp_path / "settings.toml"
    settings.write_text(
        settings_text(
            {
                "service": {"state_dir": str(tmp_path / "state"), "mode": "paper"},
                "accounts.main": {"exchange": "binanceusdm", "rest_url": "https://fapi.binance.com"},
            }
        )
    )
    done = run_main("run", "--settings", str(settings), environ=KEYS)
    assert done.returncode == 2
    assert "WRONG_ADDRESS account=main" in done.stderr
    assert "real money would be traded" in done.stderr
    assert "ACCOUNT_CONNECTED" not in done.stderr
