"""Every setting, typed, with its default and its rule.

Rules of this file: models are frozen and refuse unknown keys; money and percents are Decimal, percents are percents
(2 means 2 %), names carry their unit (`_s`, `_ms`, `_pct`, `_usd`, `_minutes`), 0 switches off where the line says so.
`HOT` marks what `settings.reload` may change while the service runs, `Later` what has no effect yet and what brings
it. settings.toml lists the same keys with the same defaults; a test compares the two.
"""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator

from config.fields import (
    HOT,
    HOURS_A_DAY,
    CandleMinutes,
    Exact,
    Flag,
    Hour,
    Later,
    Level,
    Percent,
    PercentOrOff,
    Positive,
    PositiveOrOff,
    Seconds,
    SecondsOrOff,
    Section,
    SymbolName,
    Whole,
    database_url,
    http_url,
    log_age,
    log_days,
    log_size,
    truth_or_unset,
    websocket_url,
)
from config.judgement import Aging, Health
from config.notifier import Notifier

MOST_HIGHER = 60  # so that one request for candles is enough
FARTHEST_TARGET_PCT = 50  # within the last check's reach until the mark is 6 % against the position; farther, it waits
FARTHEST_STOP_PCT = 50  # the same of stops: one that is farther would be refused, and nothing rest there
# Fits a variable name after HOLDFAST_ACCOUNTS__, in which a double underscore separates.
ACCOUNT_NAME = r"^[a-z][a-z0-9]*(_[a-z0-9]+)*$"


class Service(Section):
    state_dir: Path = Path("state")
    mode: Literal["paper", "testnet", "live"] = "paper"
    dry_run: Flag = False
    standby: Flag = False
    secrets_file: Path | None = None


class Database(Section):
    url: Annotated[SecretStr, AfterValidator(database_url)] = SecretStr("")


class Account(Section):
    """One account at one exchange. `exchange` is the id that ccxt gives it."""

    exchange: Literal["binanceusdm", "bybit"]
    rest_url: Annotated[str, AfterValidator(http_url)] = ""
    ws_url: Annotated[str, AfterValidator(websocket_url)] = ""
    demo: Flag = False
    leverage: Annotated[Whole, Field(ge=0, le=125)] = 0
    margin_mode: Literal["", "isolated", "cross"] = ""
    hedge_mode: Flag = False
    untracked: Literal["", "adopt", "alert", "close"] = ""
    adopt_stops: Flag = False
    exclude: Annotated[tuple[SymbolName, ...], HOT] = ()
    api_key: SecretStr = SecretStr("")
    secret: SecretStr = SecretStr("")


class Signals(Section):
    url: Annotated[str, AfterValidator(websocket_url)] = ""
    token: SecretStr = SecretStr("")
    max_age_s: Annotated[Seconds, HOT] = 600.0


class Symbols(Section):
    """Names that mean a symbol beside its usual spellings."""

    aliases: Annotated[dict[SymbolName, SymbolName], HOT] = Field(default_factory=dict)


class Entries(Section):
    wave_window_s: SecondsOrOff = 5.0
    max_per_wave: Annotated[Whole, Field(ge=1)] = 8
    rank_by: Literal["score_week", "score_month"] = "score_week"
    cooldown_s: Annotated[SecondsOrOff, HOT] = 300.0
    max_positions: Annotated[Whole, Field(ge=1), HOT] = 50
    max_exposure_usd: Annotated[PositiveOrOff, HOT] = Decimal(0)
    max_symbol_usd: Annotated[PositiveOrOff, HOT] = Decimal(0)
    spread_pct: Annotated[PercentOrOff, HOT] = Decimal("0.1")
    spread_action: Annotated[Literal["refuse", "warn"], HOT] = "refuse"
    slippage_pct: Annotated[PercentOrOff, HOT] = Decimal(0)
    sessions: Annotated[tuple[tuple[Hour, Hour], ...], HOT] = ((0, HOURS_A_DAY),)
    stop_list: Annotated[tuple[SymbolName, ...], HOT] = ()
    allow_list: Annotated[tuple[SymbolName, ...], HOT] = ()

    @model_validator(mode="after")
    def _sessions_run_forward(self) -> Self:
        for start, end in self.sessions:
            if start >= end:
                raise ValueError(f"sessions: [{start}, {end}] must end after it starts; write a night as two windows")
        return self


class Sizing(Section):
    method: Annotated[Literal["usd", "percent", "atr"], HOT] = "usd"
    position_size_usd: Annotated[Positive, HOT] = Decimal(250)
    percent: Annotated[Percent, HOT] = Decimal(2)
    risk_pct: Annotated[Percent, HOT] = Decimal(1)
    atr_multiple: Annotated[Positive, HOT] = Decimal(2)
    overshoot_pct: Annotated[PercentOrOff, HOT] = Decimal(10)


class TakeProfit(Section):
    """One target: `pct` from the entry price, `fraction` of the position (0.5 is half)."""

    pct: Percent
    fraction: Annotated[Exact, Field(gt=0, le=1)]


class Protection(Section):
    stop_pct: Annotated[Percent, HOT] = Decimal(2)
    retries: Annotated[Whole, Field(ge=1, le=10), HOT] = 3
    emergency_stop_pct: Annotated[Percent, HOT] = Decimal(10)
    nearest_stop_pct: Annotated[Percent, HOT] = Decimal("0.5")
    trigger: Annotated[Literal["mark", "last"], HOT] = "mark"
    take_profits: Annotated[tuple[TakeProfit, ...], HOT] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.stop_pct > self.emergency_stop_pct:
            raise ValueError(
                f"stop_pct {self.stop_pct} must not exceed emergency_stop_pct {self.emergency_stop_pct}: "
                "the emergency stop is the farther one"
            )
        if self.emergency_stop_pct > FARTHEST_STOP_PCT:
            raise ValueError(f"emergency_stop_pct {self.emergency_stop_pct} must be at most {FARTHEST_STOP_PCT}")
        total = sum((target.fraction for target in self.take_profits), Decimal(0))
        if total > 1:
            raise ValueError(f"take_profits: the fractions add up to {total}, more than the whole position")
        distances = [target.pct for target in self.take_profits]
        for pct in distances:
            if pct > FARTHEST_TARGET_PCT:
                raise ValueError(f"take_profits: pct {pct} must be at most {FARTHEST_TARGET_PCT}")
            if distances.count(pct) > 1:
                raise ValueError(f"take_profits: pct {pct} stands there twice; make one target of it")
        return self


class TrailingStep(Section):
    """From `profit_pct` of profit on, trail at `callback_pct`."""

    profit_pct: Percent
    callback_pct: Percent


class Trailing(Section):
    enabled: Annotated[Flag, HOT] = True
    activation_pct: Annotated[Percent, HOT] = Decimal("1.5")
    callback_pct: Annotated[Percent, HOT] = Decimal("0.5")
    breakeven_pct: Annotated[PercentOrOff, HOT] = Decimal(1)
    time_activation_minutes: Annotated[SecondsOrOff, HOT] = 0.0
    atr_multiple: Annotated[PositiveOrOff, HOT] = Decimal(0)
    atr_period: Annotated[Whole, Field(ge=2, le=200), HOT] = 14
    atr_candle_minutes: Annotated[Whole, Field(ge=1, le=240), HOT] = 5
    steps: Annotated[tuple[TrailingStep, ...], HOT] = ()
    min_step_pct: Annotated[PercentOrOff, HOT] = Decimal("0.05")
    min_interval_s: Annotated[SecondsOrOff, HOT] = 5.0


class Strategy(Section):
    """The built-in signal source. `enabled` unset: in paper mode only."""

    enabled: Annotated[bool | None, BeforeValidator(truth_or_unset)] = None
    accounts: tuple[str, ...] = ()
    symbols: tuple[SymbolName, ...] = ()
    max_symbols: Annotated[Whole, Field(ge=1, le=200)] = 50
    candle_minutes: CandleMinutes = 5
    higher_minutes: CandleMinutes = 60
    delay_s: Annotated[Seconds, Field(le=30)] = 3.0
    atr_period: Annotated[Whole, Field(ge=2, le=200)] = 14
    long_body_atr: Positive = Decimal(1)
    small_body_pct: Percent = Decimal(50)
    trend_candles: Annotated[Whole, Field(ge=1, le=200)] = 6
    trend_atr: Positive = Decimal(1)

    @model_validator(mode="after")
    def _higher_is_made_of_whole_candles(self) -> Self:
        times, rest = divmod(self.higher_minutes, self.candle_minutes)
        if rest or not 2 <= times <= MOST_HIGHER:
            raise ValueError(
                f"higher_minutes {self.higher_minutes} must be 2 to {MOST_HIGHER} times candle_minutes "
                f"{self.candle_minutes}: the higher candles are made of the others"
            )
        return self


class Risk(Section):
    daily_loss_usd: Annotated[PositiveOrOff, HOT] = Decimal(0)
    margin_reserve_pct: Annotated[PercentOrOff, HOT] = Decimal(5)
    kill_switch_daily_loss_usd: Annotated[PositiveOrOff, HOT] = Decimal(0)
    kill_switch_drawdown_pct: Annotated[PercentOrOff, HOT] = Decimal(0)
    performance_interval_s: Annotated[Seconds, HOT] = 60.0


class Reconciler(Section):
    interval_s: Annotated[Seconds, HOT] = 30.0
    alert_findings: Annotated[Whole, Field(ge=0, le=10_000), HOT] = 10
    alert_unrepaired_s: Annotated[SecondsOrOff, HOT] = 60.0
    alert_recoveries: Annotated[Whole, Field(ge=0, le=10_000), HOT] = 3


class Zombies(Section):
    """The hunt for orders that have no position to act on."""

    dry_run: Annotated[Flag, HOT] = False
    aggressive: Annotated[Flag, HOT] = False
    alert_over: Annotated[Whole, Field(ge=0), HOT] = 10


class Supervision(Section):
    hang_after_s: Seconds = 2.0
    base_backoff_s: Seconds = 0.1
    max_backoff_s: Seconds = 30.0

    @model_validator(mode="after")
    def _backoff_grows(self) -> Self:
        if self.base_backoff_s > self.max_backoff_s:
            raise ValueError(f"base_backoff_s {self.base_backoff_s} must not exceed max_backoff_s {self.max_backoff_s}")
        return self


class Admin(Section):
    enabled: Flag = True
    max_clients: Annotated[Whole, Field(ge=1, le=1000)] = 64


class Web(Section):
    """The page and the endpoints over HTTP. They only show: nothing can be told to the service here."""

    enabled: Flag = True
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 8080
    allowed_hosts: tuple[Annotated[str, Field(pattern=r"^[^\s/:]+$")], ...] = ()
    max_streams: Annotated[Whole, Field(ge=1, le=100)] = 8
    diagnostics_api_key: SecretStr = SecretStr("")


class Log(Section):
    level: Annotated[Level, HOT] = "INFO"
    terminal: Flag = True
    rotation: Annotated[str, AfterValidator(log_size)] = "50 MB"
    retention: Annotated[str, AfterValidator(log_age)] = "14 days"
    debug_trading: Flag = False


class Retention(Section):
    events_months: Annotated[Whole, Field(ge=0, le=1200), HOT] = 12
    archive_dir: Annotated[Path | None, HOT] = None
    transaction_log_days: Annotated[Whole, Field(ge=0, le=36_500), AfterValidator(log_days), HOT] = 30


class Paper(Section):
    """The paper exchange of each account, and the built-in signal source. Read in paper mode only."""

    seed: Annotated[Whole, Field(ge=0)] = 1
    volatility: Positive = Decimal(1)
    balance: Positive = Decimal(10000)
    symbols: tuple[SymbolName, ...] = ()
    tape: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    tape_speed: Positive = Decimal(1)
    bar_order: Literal["low-first", "high-first", "both"] = "both"
    only_tape: Flag = False
    latency_ms: Annotated[Whole, Field(ge=0, le=60_000)] = 0
    port: Annotated[Whole, Field(ge=0, le=65_535)] = 0
    control: Flag = False
    demo_signals: Flag = True
    demo_signal_interval_s: Seconds = 8.0
    stop_exchange_on_exit: Flag = True


class Chaos(Section):
    enabled: Flag = False


class Settings(Section):
    """All settings. Immutable; a reload makes a new one."""

    service: Service = Service()
    database: Database = Database()
    accounts: Annotated[dict[Annotated[str, Field(max_length=32, pattern=ACCOUNT_NAME)], Account], Field(min_length=1)]
    signals: Signals = Signals()
    symbols: Symbols = Symbols()
    entries: Entries = Entries()
    sizing: Sizing = Sizing()
    protection: Protection = Protection()
    trailing: Trailing = Trailing()
    strategy: Strategy = Strategy()
    reconciler: Reconciler = Reconciler()
    zombies: Zombies = Zombies()
    health: Health = Health()
    aging: Aging = Aging()
    risk: Risk = Risk()
    notifier: Notifier = Notifier()
    admin: Admin = Admin()
    web: Web = Web()
    log: Log = Log()
    retention: Retention = Retention()
    supervision: Supervision = Supervision()
    paper: Paper = Paper()
    chaos: Chaos = Chaos()

    @property
    def admin_socket(self) -> Path:
        return self.service.state_dir / "admin.sock"

    @property
    def archive_dir(self) -> Path:
        return self.retention.archive_dir or self.service.state_dir / "archive"

    def runs_strategy(self, account: str) -> bool:
        """Whether the built-in strategy runs on `account`; unset: in paper mode, on every account."""
        chosen = self.strategy.enabled
        enabled = self.service.mode == "paper" if chosen is None else chosen
        return enabled and account in (self.strategy.accounts or self.accounts)

    def untracked_policy(self, account: str) -> Literal["adopt", "alert", "close"]:
        """What to do with a position of `account` that Holdfast did not open; unset: adopt in paper, else alert."""
        chosen = self.accounts[account].untracked
        return chosen or ("adopt" if self.service.mode == "paper" else "alert")

    def secrets(self) -> tuple[str, ...]:
        """What must not appear in any line of any log."""
        kept = [self.signals.token, self.database.url, self.web.diagnostics_api_key]
        for account in self.accounts.values():
            kept += [account.api_key, account.secret]
        found = tuple(secret.get_secret_value() for secret in kept if secret.get_secret_value())
        return found + self.notifier.secrets()

    def without_effect(self) -> Iterator[str]:
        """One sentence for each key that was changed from its default though nothing acts on it yet."""
        for key, value, default, later in _later_keys(self, ""):
            if value != default:
                yield f"{key} has no effect yet: it comes with {later.comes_with}"


def _later_keys(section: Section, prefix: str) -> Iterator[tuple[str, Any, Any, Later]]:
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        later = next((mark for mark in field.metadata if isinstance(mark, Later)), None)
        if isinstance(value, Section):
            yield from _later_keys(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, table in value.items():
                if isinstance(table, Section):
                    yield from _later_keys(table, f"{prefix}{name}.{key}.")
        elif later is not None:
            yield f"{prefix}{name}", value, field.default, later
