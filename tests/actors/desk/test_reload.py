"""Every key marked HOT takes effect in a running service, and nothing else does (INTERFACE 'Reload').

The wirings are those that the actors got at their start: what they answer after a reload is what the actors decide by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from loguru import logger

from actors import judge, kill_switch, messages, performance
from actors.alarms import limits_of
from actors.foundation import Account, Ground
from actors.judgement_values import aging_rules_of, health_rules_of
from actors.messages import ReconcileNow
from actors.rule_changes import RulesNew
from actors.strategy import wiring_of
from actors.tree import Tree
from adapters.exchange.access import AccountAccess
from adapters.exchange.symbols import UnknownSymbol
from config import log
from config.changes import changes, is_hot
from config.fields import Section
from config.settings import Settings
from config.sources import Problem, SettingsError
from domain.alerting.digest import due
from domain.catalogue import EventType
from domain.entries.sizing import Method
from domain.notices import AlertFlags
from domain.orders import TriggerBy
from tests.actors.desk.scene import PRICES, instrument
from tests.unit.domain.conversation import protected

D = Decimal
SYMBOL = "BTCUSDT"


@dataclass
class House:
    """A tree that was wired and not started; `file` is what its settings file holds."""

    tree: Tree
    file: dict[str, Any]

    def __post_init__(self) -> None:
        account = self.tree._ground.accounts[0]
        self.desk = self.tree._entry_desk()
        self.reconciler = self.tree._reconciler(account)
        self.gateway = self.tree._gateway(account)
        self.archivist = self.tree._archivist()
        ground, in_force = self.tree._ground, self.tree.ruling.in_force
        heard = (ground, self.tree.owners, self.tree.marks, in_force)
        self.judge = judge.Wiring(
            in_force=in_force, owners=self.tree.owners, marks=self.tree.marks, healths=self.tree.healths
        )
        self.performance = performance.wiring_of(*heard, self.tree.recorder)
        self.kill_switch = kill_switch.wiring_of(*heard, {}, self.tree.recorder)

    @property
    def terms(self) -> Any:
        return self.desk.terms("main", SYMBOL)

    def spelled(self, name: str) -> str | None:
        try:
            return self.desk.spellings.of("main").canonical(name)
        except UnknownSymbol:
            return None


@dataclass(frozen=True)
class Row:
    """A key, a value to reload, and what is looked at: once before and once after."""

    key: str
    value: Any
    look: Callable[[House], Any]
    before: Any
    after: Any


def rows() -> Iterator[Row]:
    def rule(name: str) -> Callable[[House], Any]:
        return lambda house: getattr(house.terms.rules, name)

    def size(name: str) -> Callable[[House], Any]:
        return lambda house: getattr(house.terms.sizing, name)

    def stop(name: str) -> Callable[[House], Any]:
        return lambda house: getattr(house.terms.protection, name)

    def trail(name: str) -> Callable[[House], Any]:
        return lambda house: getattr(house.terms.trailing, name)

    yield Row("accounts.main.exclude", ("ETHUSDT",), lambda h: h.terms.exclude, frozenset(), {"ETHUSDT"})
    yield Row("signals.max_age_s", 30.0, rule("max_age_s"), 600.0, 30.0)
    yield Row("symbols.aliases", {"XBT": SYMBOL}, lambda h: h.spelled("xbt"), None, SYMBOL)
    yield Row("entries.cooldown_s", 7.0, rule("cooldown_s"), 300.0, 7.0)
    yield Row("entries.max_positions", 3, rule("max_positions"), 50, 3)
    yield Row("entries.max_exposure_usd", D(900), rule("max_exposure_usd"), D(0), D(900))
    yield Row("entries.sessions", ((8, 9),), rule("sessions"), ((0, 24),), ((8, 9),))
    yield Row("entries.stop_list", (SYMBOL,), rule("stop_list"), frozenset(), {SYMBOL})
    yield Row("entries.allow_list", (SYMBOL,), rule("allow_list"), frozenset(), {SYMBOL})
    yield Row("entries.spread_pct", D(3), rule("spread_pct"), D("0.1"), D(3))
    yield Row("entries.spread_action", "warn", rule("spread_warns"), False, True)
    yield Row("entries.slippage_pct", D(2), lambda h: h.terms.slippage_pct, D(0), D(2))
    yield Row("entries.max_symbol_usd", D(800), rule("max_symbol_usd"), D(0), D(800))
    yield Row("risk.daily_loss_usd", D(90), rule("daily_loss_usd"), D(0), D(90))
    yield Row("risk.margin_reserve_pct", D(9), rule("margin_reserve_pct"), D(5), D(9))
    yield Row("sizing.method", "percent", size("method"), Method.USD, Method.PERCENT)
    yield Row("sizing.position_size_usd", D(77), size("usd"), D(250), D(77))
    yield Row("sizing.percent", D(3), size("percent"), D(2), D(3))
    yield Row("sizing.risk_pct", D(3), size("risk_pct"), D(1), D(3))
    yield Row("sizing.atr_multiple", D(3), size("atr_multiple"), D(2), D(3))
    yield Row("sizing.overshoot_pct", D(1), size("overshoot_pct"), D(10), D(1))
    yield Row("protection.stop_pct", D(1), stop("stop_pct"), D(2), D(1))
    yield Row("protection.retries", 5, stop("retries"), 3, 5)
    yield Row("protection.emergency_stop_pct", D(8), stop("emergency_stop_pct"), D(10), D(8))
    yield Row("protection.nearest_stop_pct", D("0.7"), stop("nearest_stop_pct"), D("0.5"), D("0.7"))
    yield Row("protection.trigger", "last", stop("trigger_by"), TriggerBy.MARK, TriggerBy.LAST)
    target = {"pct": D(3), "fraction": D(1)}
    yield Row("protection.take_profits", (target,), lambda h: [t.pct for t in h.terms.take_profits], [], [D(3)])
    yield Row("trailing.enabled", False, trail("enabled"), True, False)
    yield Row("trailing.activation_pct", D(4), trail("activation_pct"), D("1.5"), D(4))
    yield Row("trailing.callback_pct", D(1), trail("callback_pct"), D("0.5"), D(1))
    yield Row("trailing.breakeven_pct", D(2), trail("breakeven_pct"), D(1), D(2))
    yield Row("trailing.time_activation_minutes", 9.0, trail("time_activation_minutes"), None, 9)
    yield Row("trailing.atr_multiple", D(2), trail("atr_multiple"), None, D(2))
    yield Row("trailing.atr_period", 20, lambda h: h.terms.atr.period, 14, 20)
    yield Row("trailing.atr_candle_minutes", 3, lambda h: h.terms.atr.candle_minutes, 5, 3)
    step = {"profit_pct": D(3), "callback_pct": D("0.2")}
    yield Row("trailing.steps", (step,), lambda h: len(h.terms.trailing.steps), 0, 1)
    yield Row("trailing.min_step_pct", D("0.2"), trail("min_step_pct"), D("0.05"), D("0.2"))
    yield Row("trailing.min_interval_s", 9.0, trail("min_interval_s"), D("5.0"), D("9.0"))
    yield Row("notifier.routine", True, lambda h: h.tree.recorder.flags(SYMBOL), None, AlertFlags())
    yield Row("reconciler.interval_s", 4.0, lambda h: h.reconciler.interval_s(), 30.0, 4.0)
    yield Row("reconciler.alert_findings", 4, lambda h: h.reconciler.thresholds().findings, 10, 4)
    yield Row(
        "reconciler.alert_unrepaired_s",
        4.0,
        lambda h: h.reconciler.thresholds().unrepaired,
        timedelta(seconds=60),
        timedelta(seconds=4),
    )
    yield Row("reconciler.alert_recoveries", 4, lambda h: h.reconciler.thresholds().recoveries, 3, 4)
    for key in ("dry_run", "aggressive"):
        yield Row(f"zombies.{key}", True, partial(_hunt, key), False, True)
    yield Row("zombies.alert_over", 3, partial(_hunt, "alert_over"), 10, 3)
    for key, of_limits, value, before, after in (
        ("unprotected_s", "unprotected_s", 3, 5.0, 3.0),
        ("opening_success_pct", "opening_success_pct", 60, D(50), D(60)),
        ("signal_feed_minutes", "signal_feed_s", 1, 3600.0, 60.0),
        ("stream_down_s", "stream_down_s", 9, 30.0, 9.0),
        ("database_down_s", "database_down_s", 9, 10.0, 9.0),
        ("balance_low_usd", "balance_low", 9, D(50), D(9)),
    ):
        yield Row(f"notifier.{key}", value, partial(_limit, of_limits), before, after)
    yield Row("notifier.repeat_minutes", 1, lambda h: h.tree.ruling.in_force.now.notifier.repeat_minutes, 30.0, 1.0)
    yield Row("notifier.digest_hour", -1, _digest, date(2026, 11, 29), None)
    of_health: list[tuple[str, Callable[[Any], Any], Any, Any, Any]] = [
        ("stop_weight", lambda r: r.weights.stop, 7, D(40), D(7)),
        ("age_weight", lambda r: r.weights.age, 7, D(10), D(7)),
        ("drawdown_weight", lambda r: r.weights.drawdown, 7, D(25), D(7)),
        ("volatility_weight", lambda r: r.weights.volatility, 7, D(20), D(7)),
        ("price_weight", lambda r: r.weights.price, 7, D(50), D(7)),
        ("liquidation_weight", lambda r: r.weights.liquidation, 7, D(100), D(7)),
        ("age_hours", lambda r: r.age_s, 2, 259_200, 7_200),
        ("drawdown_pct", lambda r: r.drawdown_pct, 7, D(3), D(7)),
        ("volatility_pct", lambda r: r.volatility_pct, 7, D(1), D(7)),
        ("price_age_s", lambda r: r.price_age_s, 7, 60, 7),
        ("liquidation_pct", lambda r: r.liquidation_pct, 7, D(10), D(7)),
        ("medium", lambda r: r.bounds[0], 31, D(30), D(31)),
        ("high", lambda r: r.bounds[1], 61, D(60), D(61)),
        ("critical", lambda r: r.bounds[2], 76, D(75), D(76)),
        ("emergency", lambda r: r.bounds[3], 91, D(90), D(91)),
        ("hysteresis", lambda r: r.hysteresis, 7, D(10), D(7)),
        ("settle_s", lambda r: r.settle_s, 7, 60, 7),
        ("on_medium", lambda r: str(r.actions[0]), "close", "none", "close"),
        ("on_high", lambda r: str(r.actions[1]), "close", "alert", "close"),
        ("on_critical", lambda r: str(r.actions[2]), "close", "alert", "close"),
        ("on_emergency", lambda r: str(r.actions[3]), "close", "alert", "close"),
    ]
    for name, of_rules, new, was, comes in of_health:
        yield Row(f"health.{name}", new, partial(_health, of_rules), was, comes)
    yield Row("health.enabled", False, lambda h: _health(bool, h), True, False)
    plain: list[tuple[str, Any, Any, Any]] = [
        ("health.interval_s", 7, 5.0, 7.0),
        ("health.cooldown_s", 7, 600.0, 7.0),
        ("health.tighten_pct", 7, D(50), D(7)),
        ("health.reduce_fraction", "0.7", D("0.5"), D("0.7")),
        ("aging.step_hours", 7, 1.0, 7.0),
        ("aging.step_pct", 7, D("0.5"), D(7)),
        ("aging.max_loss_pct", 7, D(2), D(7)),
        ("aging.fee_pct", 7, D("0.05"), D(7)),
        ("aging.adopted", True, False, True),
    ]
    for name, new, was, comes in plain:
        yield Row(name, new, partial(_judged_by, name), was, comes)
    yield Row("aging.max_age_hours", 2, _max_age_s, None, 7_200)
    limit = {"kill_switch_daily_loss_usd": "daily_loss_usd", "kill_switch_drawdown_pct": "drawdown_pct"}
    for name, of_switch in limit.items():
        yield Row(f"risk.{name}", 9, partial(_switch, of_switch), D(0), D(9))
    yield Row("risk.performance_interval_s", 9, _performance_s, 60.0, 9.0)
    yield Row("retention.events_months", 3, lambda h: h.archivist.rules().events_months, 12, 3)
    yield Row("retention.transaction_log_days", 40, lambda h: h.archivist.rules().log_days, 30, 40)
    yield Row(
        "retention.archive_dir",
        Path("/archive"),
        lambda h: h.archivist.rules().folder == Path("/archive"),
        False,
        True,
    )
    yield Row("log.level", "DEBUG", lambda h: _is_logged("DEBUG"), False, True)


def _limit(name: str, house: House) -> Any:
    return getattr(limits_of(house.tree.ruling.in_force.now.notifier), name)


def _digest(house: House) -> date | None:
    return due(datetime(2026, 11, 30, 12, tzinfo=UTC), house.tree.ruling.in_force.now.notifier.digest_hour, None)


def _health(of_rules: Callable[[Any], Any], house: House) -> Any:
    rules = health_rules_of(house.judge.in_force.now.health)
    return False if rules is None else of_rules(rules)


def _judged_by(key: str, house: House) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(house.judge.in_force.now, section), name)


def _max_age_s(house: House) -> int | None:
    rules = aging_rules_of(house.judge.in_force.now.aging)
    return None if rules is None else rules.max_age_s


def _switch(name: str, house: House) -> Any:
    return getattr(house.kill_switch.limits(), name)


def _performance_s(house: House) -> float:
    return house.performance.interval_s()


def _hunt(key: str, house: House) -> Any:
    return getattr(house.reconciler.hunt.settings(), key)


ROWS = {row.key: row for row in rows()}


def hot_keys(section: type[Section] = Settings, above: str = "") -> Iterator[str]:
    for name, field in section.model_fields.items():
        if name == "accounts":
            from config.settings import Account as AccountSettings

            yield from hot_keys(AccountSettings, "accounts.main.")
        elif isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from hot_keys(field.annotation, f"{above}{name}.")
        elif is_hot(field):
            yield f"{above}{name}"


def _is_logged(level: str) -> bool:
    file = log._directory[0] / "holdfast.jsonl"
    mark = f"MARK {datetime.now(UTC).isoformat()}"
    logger.log(level, mark)
    return mark in file.read_text()


def settings_of(file: dict[str, Any]) -> Settings:
    base: dict[str, Any] = {"accounts": {"main": {"exchange": "binanceusdm"}}}
    merged = {**base, **{name: value for name, value in file.items() if name != "accounts"}}
    merged["accounts"] = {"main": {**base["accounts"]["main"], **file.get("accounts", {}).get("main", {})}}
    return Settings.model_validate(merged)


def set_key(file: dict[str, Any], key: str, value: Any) -> None:
    *above, name = key.split(".")
    for part in above:
        file = file.setdefault(part, {})
    file[name] = value


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr("actors.reloading.SETTLES_S", 0)
    file: dict[str, Any] = {}
    settings = settings_of(file)
    log.set_up(settings.log.model_copy(update={"terminal": False}), tmp_path / "logs", ())
    access = AccountAccess(account="main", exchange="binanceusdm", api_key="", secret="")
    account = Account(
        name="main",
        access=access,
        lock=cast("Any", SimpleNamespace(term=1)),
        lease=cast("Any", SimpleNamespace(term=1)),
        instruments={symbol: instrument(symbol) for symbol in PRICES},
    )
    anything: Any = SimpleNamespace(
        now=lambda: datetime.now(UTC),
        monotonic=time.monotonic,
        symbol_settings=list,
        fact=lambda _key: None,
        note=lambda _record: None,
        alerts_standing=list,
        last_signal_id=lambda: None,
        closed_because=None,
    )
    ground = Ground(
        settings=settings,
        version="0",
        started_at=datetime.now(UTC),
        clock=anything,
        conninfo="",
        instance="ab12",
        database=None,
        exchanges={},
        accounts=(account,),
        reader=anything,
        spool=anything,
        book=anything,
        attachment=anything,
        remembered=None,
        request_stop=lambda _reason, _code: None,
        load_settings=lambda: settings_of(file),
    )
    yield House(Tree(ground), file)
    logger.remove()
    log._directory.clear()


@pytest.fixture
def told(house: House, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the tree tells its actors."""
    heard: list[tuple[str, Any]] = []
    monkeypatch.setattr(house.tree.directory, "tell", lambda name, message: heard.append((name, message)))
    return heard


def events(told: list[tuple[str, Any]]) -> list[Any]:
    return [event for name, message in told if name == messages.JOURNAL for event in message.record.events]


def test_every_hot_key_has_a_row_that_shows_its_effect() -> None:
    assert set(ROWS) == set(hot_keys()), "a key is HOT only if a row here shows that a reload changes what it does"


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_a_hot_key_takes_effect_without_a_restart(house: House, told: list[tuple[str, Any]], row: Row) -> None:
    assert row.look(house) == row.before
    set_key(house.file, row.key, row.value)
    done = house.tree.ruling.reloading.reload("a test")
    assert row.look(house) == row.after
    assert ([change.key for change in done.changed], done.needs_restart) == ([row.key], ())
    (event,) = events(told)
    assert (event.type, event.data["changed"][0]["key"]) == (EventType.SETTINGS_RELOADED, row.key)
    assert (messages.reconciler("main"), ReconcileNow(reason="settings reloaded")) in told
    del house.file[row.key.split(".")[0]]
    house.tree.ruling.reloading.reload("a test")
    assert row.look(house) == row.before


def test_what_is_excluded_in_any_spelling_is_the_same_to_all(house: House, told: list[tuple[str, Any]]) -> None:
    strategy = wiring_of(house.tree.ruling, "main", "binanceusdm", {}, house.tree.recorder)
    set_key(house.file, "accounts.main.exclude", ("eth/usdt:usdt", "NOSUCHUSDT"))
    house.tree.ruling.reloading.reload("a test")
    for wiring in (strategy, house.reconciler, house.reconciler.hunt):
        assert wiring.exclude() == {"ETHUSDT", "NOSUCHUSDT"}, type(wiring)


def test_other_keys_are_named_and_wait_for_a_restart(house: House, told: list[tuple[str, Any]]) -> None:
    set_key(house.file, "accounts.main.leverage", 7)
    set_key(house.file, "accounts.main.secret", "hush-hush")
    set_key(house.file, "admin.max_clients", 3)
    set_key(house.file, "entries.max_positions", 2)
    done = house.tree.ruling.reloading.reload("a test")
    assert [change.key for change in done.changed] == ["entries.max_positions"]
    waiting = {change.key: (change.old, change.new) for change in done.needs_restart}
    secret = ("***", "***")
    leverage, clients = ("0", "7"), ("64", "3")
    keys = {"accounts.main.leverage": leverage, "accounts.main.secret": secret, "admin.max_clients": clients}
    assert waiting == keys
    assert "hush" not in str(events(told))
    assert house.tree.ruling.in_force.now.admin.max_clients == 64
    assert house.tree.ruling.in_force.now.entries.max_positions == 2


def test_accounts_that_come_and_go_wait_for_a_restart() -> None:
    one = settings_of({})
    two = one.model_copy(update={"accounts": {"second": one.accounts["main"]}})
    found = changes(one, two)
    assert [(c.key, c.old, c.new, c.hot) for c in found] == [
        ("accounts.main", "an account", "absent", False),
        ("accounts.second", "absent", "an account", False),
    ]


def test_refused_settings_change_nothing_and_are_told(house: House, told: list[tuple[str, Any]]) -> None:
    def broken() -> Settings:
        raise SettingsError((Problem(source="settings.toml", key="entries.max_positions", value="0", rule="too few"),))

    house.tree.ruling.reloading._load = broken
    before = house.tree.ruling.in_force.now
    with pytest.raises(SettingsError):
        house.tree.ruling.reloading.reload("a test")
    assert house.tree.ruling.in_force.now is before
    (event,) = events(told)
    assert event.type is EventType.SETTINGS_REFUSED
    assert event.severity.alerts
    assert "settings.toml: entries.max_positions = 0: too few" in event.data["problems"]


def test_a_file_that_is_being_written_is_refused(house: House, told: list[tuple[str, Any]]) -> None:
    """Its first half may be valid by itself, and would set everything in the second half to its default."""
    halves = iter([settings_of({}), settings_of({"entries": {"max_positions": 2}})])
    house.tree.ruling.reloading._load = lambda: next(halves)
    with pytest.raises(SettingsError, match="being written"):
        house.tree.ruling.reloading.reload("a test")
    assert house.tree.ruling.in_force.now.entries.max_positions == 50


def test_open_positions_hear_of_changed_protection_only(house: House, told: list[tuple[str, Any]]) -> None:
    talk, _ = protected()
    place = house.tree.owners.place_of(talk.position)
    house.tree.owners.claim(place, talk.position)
    set_key(house.file, "entries.max_positions", 2)
    house.tree.ruling.reloading.reload("a test")
    assert not [m for _, m in told if isinstance(m, RulesNew)]
    set_key(house.file, "protection.stop_pct", D(1))
    house.tree.ruling.reloading.reload("a test")
    assert [name for name, m in told if isinstance(m, RulesNew)] == [messages.position(talk.position.id)]
    ((_, heard),) = house.tree.owners.rule_changes.news(talk.position)
    assert heard is not None
    assert (heard.old_protection.stop_pct, heard.protection.stop_pct) == (D(2), D(1))


def test_the_log_level_by_hand_holds_until_the_next_reload(house: House, told: list[tuple[str, Any]]) -> None:
    house.tree.ruling.reloading.set_log_level("DEBUG", "a test")
    assert _is_logged("DEBUG")
    assert events(told)[0].data["changed"] == [{"key": "log.level", "old": "INFO", "new": "DEBUG"}]
    house.tree.ruling.reloading.reload("a test")
    assert not _is_logged("DEBUG")
    assert _is_logged("INFO")
