"""Per-symbol settings over a real database: changed by an operator, by SQL, while it is away, nonsense in it."""

from __future__ import annotations

import itertools
from typing import Any

import psycopg
import pytest

from actors import messages
from actors.messages import SetSymbol, Tick, Write
from actors.owners import Place
from actors.rule_changes import RulesNew
from actors.symbol_book import FRESH_S, SymbolBook, laid_over
from actors.symbol_keeper import SymbolKeeper, Wiring
from actors.symbol_lists import Spellings
from config.in_force import SettingsInForce
from config.settings import Settings
from config.symbol_settings import WrongSymbolSetting
from domain.catalogue import EventType
from domain.position.inputs import RulesChanged
from persistence.database import DatabaseAway
from persistence.embedded import EmbeddedPostgres
from persistence.reader import Reader
from tests.actors.desk.scene import PRICES, D, instrument
from tests.actors.order_path.stage import Heard, Stage, until
from tests.unit.domain.conversation import protected

SETTINGS = Settings.model_validate({"accounts": {"main": {"exchange": "binanceusdm"}}})


class Keeping:
    """A keeper over a database; the journal and one position are ears."""

    def __init__(self, stage: Stage, conninfo: str) -> None:
        self.stage = stage
        self.conninfo = conninfo
        self.reader = Reader(conninfo)
        self.in_force = SettingsInForce(SETTINGS)
        spellings = Spellings({"main": {s: instrument(s) for s in PRICES}}, dict)
        self.book = SymbolBook(self.reader, self.in_force, spellings, stage.clock)
        self.journal = stage.ear(messages.JOURNAL)
        talk, _ = protected()
        self.position = talk.position
        stage.owners.claim(Place("main", talk.position.symbol), talk.position)
        self.owner: Heard = stage.ear(messages.position(talk.position.id))
        wiring = Wiring(
            book=self.book,
            in_force=self.in_force,
            owners=stage.owners,
            directory=stage.directory,
            recorder=stage.recorder,
            conninfo=conninfo,
        )
        stage.add(messages.SYMBOL_KEEPER, lambda context: SymbolKeeper.start(context, wiring))
        stage.start()

    def set(self, symbol: str = "BTCUSDT", **values: object) -> Any:
        named = {key.replace("__", "."): value for key, value in values.items()}
        return self.stage.ask(messages.SYMBOL_KEEPER, SetSymbol(symbol=symbol, values=named, uid=7))

    def sql(self, query: str) -> list[Any]:
        with psycopg.connect(self.conninfo, autocommit=True) as conn:
            cursor = conn.execute(query.encode())
            return cursor.fetchall() if cursor.description else []

    def look(self) -> None:
        self.stage.tell(messages.SYMBOL_KEEPER, Tick())

    def heard(self) -> RulesChanged:
        """What the owner finds when it is told that there is news."""
        self.owner.wait(RulesNew)
        ((number, change),) = self.stage.owners.rule_changes.news(self.position)
        self.stage.owners.rule_changes.taken(self.position.id, number)
        assert change is not None
        return change

    def events(self, kind: EventType) -> list[Any]:
        self.stage.worked_off(messages.SYMBOL_KEEPER, messages.JOURNAL)
        told = self.journal.of(Write)
        return [event for message in told for event in message.record.events if event.type is kind]


@pytest.fixture
def keeping(stage: Stage, database: str) -> Any:
    keeping = Keeping(stage, database)
    yield keeping
    keeping.reader.close()


def test_an_operators_change_is_in_force_when_it_is_answered_and_written_with_its_event(keeping: Keeping) -> None:
    keeping.set(trade_enabled=False, min_trade_usd="12.5", trailing__callback_pct="0.3", leverage="3")
    own = keeping.book.known("BTCUSDT")
    terms = laid_over(SETTINGS, "main", own)
    assert (terms.rules.trade_enabled, terms.rules.min_trade_usd) == (False, D("12.5"))
    assert terms.trailing.callback_pct == D("0.3")
    assert keeping.book.leverage("main", "BTCUSDT") == 3
    columns = "symbol, trade_enabled, min_trade_usd, trailing_overrides"
    (row,) = keeping.sql(f"SELECT {columns} FROM monitoring.symbol_settings")
    assert row == ("BTCUSDT", False, D("12.5"), {"callback_pct": "0.3"})
    ((data,),) = keeping.sql("SELECT event_data FROM monitoring.events WHERE event_type = 'symbol_settings_changed'")
    assert (data["by"], data["new"]["trade_enabled"], data["old"]["trade_enabled"]) == ("uid 7", False, None)
    keeping.set(trade_enabled=None, min_trade_usd=None, trailing__callback_pct=None, leverage=None)
    assert laid_over(SETTINGS, "main", keeping.book.known("BTCUSDT")).rules.trade_enabled is True


def test_a_wrong_value_changes_nothing(keeping: Keeping) -> None:
    with pytest.raises(WrongSymbolSetting, match="stop_pct"):
        keeping.set(trade_enabled=False, protection__stop_pct="-1")
    assert keeping.sql("SELECT count(*) FROM monitoring.symbol_settings") == [(0,)]
    assert keeping.sql("SELECT count(*) FROM monitoring.events") == [(0,)]


def test_open_positions_hear_of_it_whoever_changed_it(keeping: Keeping) -> None:
    keeping.set(protection__stop_pct="1")
    heard = keeping.heard()
    assert (heard.old_protection.stop_pct, heard.protection.stop_pct) == (D(2), D(1))
    keeping.owner.clear()
    keeping.sql("UPDATE monitoring.symbol_settings SET protection_overrides = '{\"stop_pct\": 0.8}'")
    keeping.look()
    assert keeping.heard().protection.stop_pct == D("0.8")
    until(lambda: bool(keeping.events(EventType.SYMBOL_SETTINGS_CHANGED)))
    (event,) = keeping.events(EventType.SYMBOL_SETTINGS_CHANGED)
    assert event.data["by"] == "database"


def test_an_operators_change_counts_where_the_table_spells_the_symbol_in_its_own_way(keeping: Keeping) -> None:
    """It wrote a second row, which did not count; the answer to the operator was the first one."""
    keeping.sql("INSERT INTO monitoring.symbol_settings (symbol, leverage) VALUES ('BTC/USDT', 5)")
    keeping.set(trade_enabled=False)
    own = keeping.book.known("BTCUSDT")
    assert (own.trade_enabled, own.leverage) == (False, 5)
    assert keeping.sql("SELECT symbol, trade_enabled, leverage FROM monitoring.symbol_settings") == [
        ("BTC/USDT", False, 5)
    ]


def test_a_symbol_that_is_switched_off_stays_off_though_another_value_of_it_is_wrong(keeping: Keeping) -> None:
    """A reload brought the emergency stop nearer than the symbol's own stop: all that was set for it was left out."""
    emergency = {"protection": {"stop_pct": 2, "emergency_stop_pct": 20}}
    keeping.in_force.replace(Settings.model_validate(SETTINGS.model_dump() | emergency))
    keeping.set(trade_enabled=False, cooldown_seconds=900, protection__stop_pct="15")
    keeping.in_force.replace(SETTINGS)
    keeping.book.refresh()
    own = keeping.book.known("BTCUSDT")
    assert (own.trade_enabled, own.cooldown_seconds, own.protection) == (False, 900, {})
    keeping.sql("UPDATE monitoring.symbol_settings SET leverage = -3")
    keeping.look()
    keeping.set("PEPEUSDT", trade_enabled=False)  # behind the look
    assert keeping.book.known("BTCUSDT").trade_enabled is False
    said = keeping.events(EventType.SYMBOL_SETTINGS_REFUSED)[-1].data["error"]
    assert "leverage = -3" in said
    assert "stop_pct" in said


def test_a_change_by_sql_counts_for_the_next_decision(keeping: Keeping, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.symbol_book.FRESH_S", 0)
    assert FRESH_S <= 1
    assert keeping.book.terms("main", "BTCUSDT").rules.trade_enabled is True
    keeping.sql("INSERT INTO monitoring.symbol_settings (symbol, trade_enabled) VALUES ('btc/usdt:usdt', false)")
    assert keeping.book.terms("main", "BTCUSDT").rules.trade_enabled is False
    keeping.sql("DELETE FROM monitoring.symbol_settings")
    assert keeping.book.terms("main", "BTCUSDT").rules.trade_enabled is True


def test_nonsense_in_one_row_is_told_once_and_keeps_no_other_from_counting(keeping: Keeping) -> None:
    keeping.sql(
        "INSERT INTO monitoring.symbol_settings (symbol, leverage, trade_enabled) VALUES "
        "('ETHUSDT', -3, NULL), ('NOSUCH', NULL, false), ('BTCUSDT', NULL, false), ('BTC-USDT', NULL, true)"
    )
    for _ in range(2):
        keeping.look()
    keeping.set("PEPEUSDT", trade_enabled=False)  # behind both looks
    refused = {event.data["name"]: event.data["error"] for event in keeping.events(EventType.SYMBOL_SETTINGS_REFUSED)}
    assert len(keeping.events(EventType.SYMBOL_SETTINGS_REFUSED)) == 3
    assert "leverage = -3" in refused["ETHUSDT"]
    assert "no such perpetual" in refused["NOSUCH"]
    assert set(refused) == {"ETHUSDT", "NOSUCH", "BTCUSDT"}, "'BTC-USDT' is read first, and said twice"
    assert keeping.book.known("PEPEUSDT").trade_enabled is False


def test_what_another_had_read_is_told_by_the_successor_of_a_keeper_that_died_before_its_look(keeping: Keeping) -> None:
    """The successor took the page that the desk had read for one that was told of: nobody ever heard of either row."""
    keeping.sql("INSERT INTO monitoring.symbol_settings (symbol, leverage) VALUES ('ETHUSDT', -3)")
    keeping.sql(
        "INSERT INTO monitoring.symbol_settings (symbol, protection_overrides) VALUES ('BTCUSDT', '{\"stop_pct\": 1}')"
    )
    keeping.book.refresh()
    keeping.stage.kill(messages.SYMBOL_KEEPER)
    (refused,) = keeping.events(EventType.SYMBOL_SETTINGS_REFUSED)
    assert "leverage = -3" in refused.data["error"]
    (changed,) = keeping.events(EventType.SYMBOL_SETTINGS_CHANGED)
    assert (changed.symbol, changed.data["by"]) == ("BTCUSDT", "database")
    assert keeping.heard().protection.stop_pct == D(1)
    keeping.stage.kill(messages.SYMBOL_KEEPER)
    assert len(keeping.events(EventType.SYMBOL_SETTINGS_REFUSED)) == 1, "once"
    assert len(keeping.events(EventType.SYMBOL_SETTINGS_CHANGED)) == 1


def test_a_change_that_is_written_is_answered_for_though_it_cannot_be_read_again(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was refused as if nothing had changed, and the owners of open positions did not hear of it."""
    read, times = keeping.reader.symbol_settings, itertools.count()

    def once() -> list[Any]:
        if next(times):
            raise DatabaseAway("gone")
        return read()

    monkeypatch.setattr(keeping.reader, "symbol_settings", once)
    assert keeping.set(protection__stop_pct=D(1), min_trade_usd=D("12.50"), cooldown_seconds=7).leverage is None
    assert keeping.heard().protection.stop_pct == D(1)
    monkeypatch.setattr(keeping.reader, "symbol_settings", read)
    keeping.look()
    keeping.stage.worked_off(messages.SYMBOL_KEEPER)
    assert keeping.events(EventType.SYMBOL_SETTINGS_CHANGED) == [], "its event was in the transaction of the change"


def test_the_last_reading_stands_while_the_database_is_away(
    keeping: Keeping, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.symbol_book.FRESH_S", 0)
    keeping.set(trade_enabled=False)

    def gone() -> list[Any]:
        raise DatabaseAway("no route")

    monkeypatch.setattr(keeping.reader, "symbol_settings", gone)
    assert keeping.book.terms("main", "BTCUSDT").rules.trade_enabled is False
    assert keeping.book.away == "no route"
    with pytest.raises(DatabaseAway):
        keeping.set(trade_enabled=True)
    assert keeping.book.known("BTCUSDT").trade_enabled is False


def test_an_override_that_no_longer_fits_the_settings_is_left_out(keeping: Keeping) -> None:
    keeping.set(protection__stop_pct="5", trade_enabled=False)
    narrow = Settings.model_validate(
        {"accounts": {"main": {"exchange": "binanceusdm"}}, "protection": {"stop_pct": 1, "emergency_stop_pct": 3}}
    )
    terms = laid_over(narrow, "main", keeping.book.known("BTCUSDT"))
    assert (terms.protection.stop_pct, terms.rules.trade_enabled) == (D(1), False)
