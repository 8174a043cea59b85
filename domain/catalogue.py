"""Every event there is: how grave it is by itself, the fields of its data, and the tag of its log line.

Rules of this file: one entry an event, all about it in that entry, the meaning below it. An event's value is what the
database column `event_type` holds; known names are kept for those who query them. Fields are the names that its data
may hold (absent where not known), `...` at their end: and figures of the case. `make docs` writes docs/events.md from
here, and says how to add one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple, Self


class Severity(StrEnum):
    """How much an event asks of a human."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"

    @property
    def alerts(self) -> bool:
        """Whether it goes to the notifier whatever the routine flags say."""
        return self in (Severity.WARNING, Severity.ERROR, Severity.CRITICAL)


DEBUG, INFO, WARNING, ERROR, CRITICAL = Severity
FURTHER = "..."

_FILLED = "side symbol order_id quantity price status source"
_STOP = "symbol order_id sl_order_id tp_order_id stop_price quantity purpose source"
_MOVED = "old_stop new_stop mark_price extreme_price quantity purpose updates"
_ENDED = (
    "symbol side reason entry_price exit_price quantity realized_pnl fees net_pnl unprotected_seconds stop_updates "
    "fees_apart"
)
_DANGERS = "stop_danger age_danger drawdown_danger volatility_danger price_danger liquidation_danger"
_ZOMBIE = "symbol kind whose order_id client_id side position_side quantity trigger_price"
_FELL = "name supervisor epoch restarts error"


class EventType(StrEnum):
    """The catalogue: value, severity unless the happening itself says otherwise, fields, tag where it is another."""

    severity: Severity
    fields: tuple[str, ...]
    tag: str

    def __new__(cls, value: str, severity: Severity = INFO, fields: str = "", tag: str = "") -> Self:
        """`fields` are separated by blanks."""
        event = str.__new__(cls, value)
        event._value_ = value
        event.severity = severity
        event.fields = tuple(fields.split())
        event.tag = tag or value.upper()
        return event

    def unknown_fields(self, data: Iterable[str]) -> list[str]:
        """Names in an event's data that its entry does not list."""
        return [] if FURTHER in self.fields else [name for name in data if name not in self.fields]

    SERVICE_STARTED = "service_started", INFO, "mode version pid"
    """The service is up."""
    SERVICE_STOPPED = "service_stopped", INFO, "reason stays"
    """It ends in order; `stays`: what remains on the exchange."""
    ACCOUNT_CONNECTED = "account_connected", INFO, "symbols"
    """An account's exchange answers, its markets are known."""
    ACCOUNT_CHECKED = (
        "account_checked", INFO,
        "findings entries total free currency conditional_orders conditional_limit clock_ahead_ms",
    )  # fmt: skip
    """What the check of an account found, when that is news."""
    ACCOUNT_DOUBTFUL = "account_doubtful", WARNING, "code reason ..."
    """Something about an account is not as it should be."""
    ACCOUNT_REFUSED = "account_refused", CRITICAL, "code reason ..."
    """An account cannot be traded on: its entries are closed."""
    ACCOUNT_MENDED = "account_mended", INFO, "code"
    """A finding about an account is over."""

    SIGNAL_FEED_CONNECTED = "signal_feed_connected", INFO, "url"
    """The signal server answers."""
    SIGNAL_FEED_LOST = "signal_feed_lost", WARNING, "error pause_s failures"
    """The signal server is gone, or was not reached."""
    SIGNAL_RECEIVED = "signal_received", INFO, "signal action wave"
    """A signal was stored."""
    SIGNAL_MALFORMED = "signal_malformed", WARNING, "error frame count"
    """A frame of the signal server is no signal; many are counted."""
    SIGNAL_ACCEPTED = "signal_accepted", INFO, "signal action outcome wave rank of ..."
    """A signal is acted on."""
    SIGNAL_REFUSED = "signal_refused", INFO, "signal action outcome wave rank of ..."
    """A signal is not acted on: `outcome` is why, with its figures."""
    STRATEGY_STARTED = "strategy_started", INFO, "symbols skipped candle_minutes higher_minutes"
    """The built-in strategy begins."""
    STRATEGY_RAN = "strategy_ran", INFO, "candle symbols quiet signals skipped error took_s"
    """One run of it over its symbols."""
    WAVE_FINISHED = "wave_finished", INFO, "wave received valid opened failed not_needed refused"
    """All signals of a wave are answered."""

    POSITION_CREATED = "position_created", INFO, "side quantity stop_pct stop_price by"
    """A position is decided on; its life begins."""
    ENTRY_PLACED = "entry_placed", INFO, "side symbol order_id quantity reference_price limit_price try", "ORDER_PLACED"
    """Its entry order is sent."""
    ENTRY_ACCEPTED = "entry_accepted", INFO, "order_id source"
    """The exchange has the entry order."""
    ENTRY_FILLED = "entry_filled", INFO, _FILLED, "ORDER_FILLED"
    """The entry order is over, filled whole or in part."""
    ENTRY_REFUSED = "entry_refused", WARNING, "reason code error"
    """The exchange refused the entry order."""
    ENTRY_UNKNOWN = "entry_unknown", WARNING, "error"
    """Nobody knows whether the entry went through: it is asked about."""
    POSITION_FAILED = "position_failed", INFO, _ENDED + " reference_price slippage_pct limit_price mark_price tries"
    """It ended before anything was filled."""

    STOP_LOSS_SENT = "stop_loss_sent", DEBUG, "stop_price quantity purpose"
    """A stop is sent."""
    STOP_LOSS_PLACED = "stop_loss_placed", INFO, _STOP, "SLTP_PLACED"
    """The exchange has the stop, and nothing covered before it."""
    STOP_LOSS_REFUSED = "stop_loss_refused", WARNING, "reason code error purpose stop_price"
    """The exchange refused a stop, and nothing else covers."""
    STOP_LOSS_UNKNOWN = "stop_loss_unknown", WARNING, "error"
    """Nobody knows whether the stop went through: it is asked about."""
    STOP_LOSS_MOVED = "stop_loss_moved", INFO, _MOVED
    """Another stop took its place, for another reason than trailing."""
    STOP_LOSS_CHANGED_OUTSIDE = "stop_loss_changed_outside", WARNING, "old_stop new_stop old_quantity quantity"
    """Somebody else changed the stop."""
    STOP_LOSS_CANCEL_SENT = "stop_loss_cancel_sent", DEBUG, "stop_price"
    """A stop that is not needed any more is being cancelled."""
    STOP_LOSS_CANCELLED = "stop_loss_cancelled", INFO, "stop_price"
    """It is cancelled."""
    STOP_LOSS_TRIGGERED = "stop_loss_triggered", INFO, "stop_price mark_price child_order_id"
    """A stop's trigger price was touched."""
    STOP_LOSS_LOST = "stop_loss_lost", WARNING, "stop_price status error"
    """A stop is gone though nobody of us cancelled it."""
    STOP_LOSS_RECOVERED = "stop_loss_recovered", INFO, "stop_price what recoveries"
    """A stop that was missing, too small, elsewhere or doubled was put right; from the third time on a WARNING."""
    STOP_LOSS_FOUGHT_OVER = "stop_loss_fought_over", CRITICAL, "times within_s recoveries why"
    """A stop had to be put right too often within an hour: somebody else keeps taking it away or changing it."""
    STOP_LOSS_STUCK = "stop_loss_stuck", WARNING, "stop_price quantity mark_price"
    """A stop triggered and does nothing, or should have triggered."""
    STOP_LOSS_DUPLICATE = "stop_loss_duplicate", WARNING, "order_id stop_price"
    """One stop too many rests: it is cancelled."""
    STOP_LOSS_EXISTS = (
        "stop_loss_exists", INFO,
        "symbol order_id existing_orders stop_price", "SLTP_SKIPPED_ALREADY_EXISTS",
    )  # fmt: skip
    """A stop rests already: none is sent."""

    TAKE_PROFIT_SENT = "take_profit_sent", DEBUG, "target_price quantity"
    """A take-profit is sent."""
    TAKE_PROFIT_PLACED = (
        "take_profit_placed", INFO,
        "symbol order_id sl_order_id tp_order_id target_price quantity source", "SLTP_PLACED",
    )  # fmt: skip
    """The exchange has it."""
    TAKE_PROFIT_REFUSED = "take_profit_refused", WARNING, "reason code error target_price quantity refusals"
    """The exchange refused it."""
    TAKE_PROFIT_UNKNOWN = "take_profit_unknown", WARNING, "error"
    """Nobody knows whether it went through: it is asked about."""
    TAKE_PROFIT_CANCEL_SENT = "take_profit_cancel_sent", DEBUG, "target_price"
    """It is being cancelled."""
    TAKE_PROFIT_CANCELLED = "take_profit_cancelled", INFO, "target_price quantity reason"
    """It is cancelled."""
    TAKE_PROFIT_TRIGGERED = "take_profit_triggered", INFO, "target_price mark_price child_order_id"
    """Its price was touched."""
    TAKE_PROFIT_FILLED = "take_profit_filled", INFO, "symbol order_id target_price quantity wanted left"
    """It filled, whole or in part; `left` is what remains open."""
    TAKE_PROFIT_LOST = "take_profit_lost", WARNING, "target_price quantity status error"
    """It is gone though nobody of us cancelled it."""
    TAKE_PROFIT_MERGED = "take_profit_merged", INFO, "symbol target_price quantity min_quantity min_notional into"
    """Too small for the exchange: added to the next target."""
    TAKE_PROFIT_PASSED = "take_profit_passed", INFO, "symbol target_price quantity mark_price"
    """Its price had been passed: that part is closed at market."""
    TAKE_PROFIT_REDUCED = "take_profit_reduced", INFO, "target_price old_quantity quantity left"
    """Fitted to a position that became smaller."""

    TRAILING_STOP_CREATED = "trailing_stop_created", INFO, "activation_price activation_pct callback_pct"
    """The stop of a position will trail."""
    TRAILING_BREAKEVEN = "trailing_breakeven", INFO, "extreme_price stop_price"
    """Profit enough: the stop goes to the entry price."""
    TRAILING_ACTIVATED = "trailing_activated", INFO, "extreme_price activation_price by"
    """From now on the stop follows the price; `by`: price or time."""
    TRAILING_MOVED = "trailing_moved", INFO, _MOVED
    """The stop followed the price."""
    TRAILING_MOVE_FAILED = "trailing_move_failed", WARNING, "reason code error purpose stop_price"
    """A move was refused; the old stop stays."""
    TRAILING_EXTREME_RECOVERED = "trailing_extreme_recovered", INFO, "old_extreme extreme_price"
    """The best price of a time without us was found again."""
    TRAILING_REMOVED = "trailing_removed", INFO, "extreme_price"
    """The stop trails no more."""
    PRICE_RANGE = "price_range", DEBUG, "last low high count extreme_price"
    """What the mark price did since the last of these, once a minute."""

    POSITION_UNPROTECTED = "position_unprotected", INFO, "symbol quantity cover seconds phase", "[UNPROTECTED_POSITION]"
    """Less than the whole position is covered, for `seconds` so far."""
    POSITION_PROTECTED = "position_protected", INFO, "symbol unprotected_seconds cover"
    """The whole of it is covered again."""
    EXIT_PLACED = "exit_placed", INFO, "side symbol order_id quantity reason mark_price", "ORDER_PLACED"
    """An order that closes is sent."""
    EXIT_ACCEPTED = "exit_accepted", INFO, "order_id source"
    """The exchange has it."""
    EXIT_FILLED = "exit_filled", INFO, _FILLED, "ORDER_FILLED"
    """It is over, filled whole or in part."""
    EXIT_REFUSED = "exit_refused", WARNING, "reason code error refusals"
    """The exchange refused it."""
    EXIT_UNKNOWN = "exit_unknown", WARNING, "error"
    """Nobody knows whether it went through: it is asked about."""
    CLOSE_REQUESTED = "close_requested", INFO, "reason fraction stop_price mark_price quantity"
    """The position, or a part of it, is to be closed."""
    ROLLBACK_STARTED = (
        "rollback_started", CRITICAL,
        "reason stop_price mark_price refusals quantity symbol", "[AUTO_CLOSE]",
    )  # fmt: skip
    """No stop can be had: the position is closed at market."""
    EMERGENCY_STOP = "emergency_stop", CRITICAL, _STOP
    """Closing failed too: a stop further away rests."""
    POSITION_NEEDS_INTERVENTION = "position_needs_intervention", CRITICAL, "symbol quantity exit_refusals stop_refusals"
    """Neither covered nor closing as it should: a human is needed."""
    POSITION_INTERVENTION_OVER = "position_intervention_over", INFO, "symbol"
    """That is over."""
    FILL = "fill", DEBUG, "trade_id side quantity price fee fee_currency fee_usdt realized_pnl liquidation"
    """One execution on a position; `fee_usdt` is null for a fee in another coin whose price was not known."""
    POSITION_CHANGED_OUTSIDE = "position_changed_outside", WARNING, "book exchange difference"
    """The exchange's size is not what our executions add up to."""
    ENTRY_PRICE_CORRECTED = "entry_price_corrected", WARNING, "symbol book exchange seen"
    """No execution explains the exchange's average price: it is taken over for what is open."""
    POSITION_CLOSED = "position_closed", INFO, _ENDED
    """A position's life is over."""
    POSITION_ROLLED_BACK = "position_rolled_back", CRITICAL, _ENDED
    """Its life is over: it could not be protected."""
    POSITION_LIQUIDATED = "position_liquidated", CRITICAL, _ENDED
    """Its life is over: the exchange liquidated it."""
    POSITION_RECOVERED = "position_recovered", INFO, "phase epoch"
    """A position has its owner again, after a restart of either."""
    POSITION_ADOPTED = "position_adopted", WARNING, "side quantity entry_price bare_since"
    """A position that was not ours is owned from now on."""
    POSITION_RELEASED = "position_released", WARNING, "symbol stop_price"
    """A position was handed back to a human; its stop stays."""
    POSITION_SUPERSEDED = "position_superseded", WARNING, "side quantity owner reason"
    """Of two stored on one place this is the older one: it was over, its last record was lost, and it is closed so."""
    POSITION_ERROR = "position_error", INFO, _FELL
    """The owner of a position fell or hung (beside the actor's own event, which alerts); its successor goes on."""
    STOP_OVERRIDDEN = "stop_overridden", INFO, "old_stop new_stop"
    """An operator moved the stop."""
    TRAILING_CHANGED = "trailing_changed", INFO, "enabled activation_pct callback_pct"
    """An operator changed how a position trails."""
    RULES_TIGHTENED = "rules_tightened", INFO, "stop_pct activation_pct callback_pct old_stop new_stop"
    """New settings are tighter: an open position took them over."""
    POSITION_RISK_CHANGED = "position_risk_changed", INFO, "risk_level old_level score action withheld " + _DANGERS
    """It came to another risk level; as grave as the level where an action is set for that. A row of `risk_events`."""
    RISK_STOP_TIGHTENED = "risk_stop_tightened", INFO, "risk_level old_stop new_stop mark_price"
    """Its stop is to come nearer because of its risk level."""
    LIQUIDATION_NEAR = "liquidation_near", WARNING, "symbol liquidation_price old_stop new_stop mark_price"
    """The exchange would liquidate it before its stop fires: the stop is to come nearer."""
    AGING_CHANGED = "aging_changed", DEBUG, "max_age_s step_s step_pct max_loss_pct"
    """How old it may become is set otherwise (`max_age_s` 0: as old as it likes)."""
    AGED_BREAKEVEN = "aged_breakeven", INFO, "symbol step profit_pct exit_price mark_price age_s"
    """It is too old: from now on it is left at break-even or better."""
    AGED_LOSS_ACCEPTED = "aged_loss_accepted", INFO, "symbol step profit_pct exit_price mark_price age_s"
    """One step older it is content with a small loss."""
    AGED_EXIT = "aged_exit", INFO, "symbol step exit_price mark_price age_s"
    """Too old, and the price is what its step asks for: it is closed at market."""
    AGED_CLOSE = "aged_close", WARNING, "symbol step exit_price mark_price age_s"
    """Its last step: it is closed at market whatever the price."""

    ORDER_REFUSED_UNSAFE = "order_refused_unsafe", CRITICAL, "order_id rule"
    """The last check before the wire refused an order."""
    REQUEST_FENCED = "request_fenced", WARNING, "position effect"
    """A request of an owner that was replaced was not sent."""
    RATE_LIMITED = "rate_limited", WARNING, "pause_s reason"
    """The exchange asks to wait."""
    VENUE_BANNED = "venue_banned", CRITICAL, "until seconds"
    """The exchange answers us no more for a time."""
    VENUE_MAINTENANCE = "venue_maintenance", WARNING, ""
    """The exchange is in maintenance: entries are closed."""
    VENUE_RESUMED = "venue_resumed", INFO, "away_s"
    """It answers again."""
    INSTRUMENTS_REFRESHED = "instruments_refreshed", INFO, "why symbols changed new gone"
    """Ticks, steps and limits were read."""
    INSTRUMENT_CHANGED = "instrument_changed", WARNING, "symbol tick old_tick step old_step trading"
    """They changed under an open position."""
    INTENT_SPOOLED = "intent_spooled", WARNING, "record limit_ms"
    """The database was slow: an intent went to the spool, and the order left."""
    PRICE_STALE = "price_stale", WARNING, "last_heard limit_s"
    """No mark price for too long: nothing is decided by it."""
    PRICE_FRESH = "price_fresh", INFO, "mark_price"
    """There is one again."""
    SPREAD_WIDE = "spread_wide", WARNING, "code signal_key ..."
    """An entry is made though the spread is wide (entries.spread_action)."""

    RECONCILE_STARTED = "reconcile_started", DEBUG, "run_id pid host cycle reason", "RUN_START"
    """A look at the account begins."""
    RECONCILE_FINDING = (
        "reconcile_finding", INFO,
        "finding kind seen book exchange cover covered order_id",
    )  # fmt: skip
    """The exchange shows something else than the book; a WARNING once it was seen often enough to be believed."""
    RECONCILE_REPAIRED = "reconcile_repaired", INFO, "finding kind seen seconds result"
    """A finding is no more."""
    RECONCILE_FINISHED = (
        "reconcile_finished", DEBUG,
        "cycle positions findings kinds repairs zombies doubtful took_ms", "RUN_END",
    )  # fmt: skip
    """The look is over."""
    RECONCILE_FAILED = "reconcile_failed", WARNING, "cycle error"
    """The account could not be read."""
    RECONCILE_ALARM = "reconcile_alarm", ERROR, "why findings unrepaired symbols"
    """Too many findings within an hour, or one that nobody puts right."""
    RECONCILE_ALARM_OVER = "reconcile_alarm_over", INFO, "why findings unrepaired symbols"
    """Book and exchange agree again."""
    ZOMBIE_SCAN_STARTED = "zombie_scan_started", DEBUG, "number reason dry_run aggressive uid"
    """A hunt for orders without a position to act on begins: an operator's, one after a close, or one for suspects."""
    ZOMBIE_FOUND = "zombie_found", INFO, f"{_ZOMBIE} seen"
    """An order has no position to act on; cancelled when it is seen twice."""
    ZOMBIE_CANCELLED = "zombie_cancelled", WARNING, f"{_ZOMBIE} result error"
    """An order that had no position to act on is gone."""
    ZOMBIE_CANCEL_FAILED = "zombie_cancel_failed", WARNING, f"{_ZOMBIE} result error"
    """It is still there: tried again after a pause that grows."""
    ZOMBIE_SCAN_FINISHED = (
        "zombie_scan_finished",
        DEBUG,
        "number reason orders found cancelled gone refused unknown listed kinds took_ms error",
    )
    """The hunt is over."""
    ZOMBIES_MANY = "zombies_many", WARNING, "within_an_hour alert_over"
    """More such orders than zombies.alert_over within an hour: something makes them."""
    ZOMBIES_FEW = "zombies_few", INFO, "within_an_hour alert_over"
    """No longer too many."""

    STREAM_CONNECTED = "stream_connected", INFO, "stream"
    """A stream of the exchange is up."""
    STREAM_LOST = "stream_lost", WARNING, "stream error"
    """A stream is down."""
    DATABASE_LOST = "database_lost", CRITICAL, "error"
    """Nothing can be written to the database: records go to the spool."""
    DATABASE_RESTORED = "database_restored", INFO, "replayed"
    """It can again, and the spool is written."""
    PARTITIONS_MADE = "partitions_made", INFO, "partitions"
    """Months to come have their table for events."""
    EVENTS_ARCHIVED = "events_archived", INFO, "month file rows sha256 took_s"
    """An old month of events went to a file and left the database."""
    ARCHIVE_FAILED = "archive_failed", WARNING, "month error"
    """A month of events could not be archived; it stays in the database and is tried again."""
    RECORDS_FORGOTTEN = "records_forgotten", DEBUG, "rows older_than_days"
    """It is known no longer which records were written so long ago (`monitoring.transaction_log`)."""
    RECORD_POISONED = "record_poisoned", CRITICAL, "record error waiting lost unkept"
    """A record cannot be written at all."""
    LOCK_TAKEN = "lock_taken", INFO, "term again"
    """The lock of an account was taken again."""
    LOCK_LOST = "lock_lost", CRITICAL, "error"
    """The lock cannot be proven: protection only."""
    ACCOUNT_SUPERSEDED = "account_superseded", CRITICAL, "account term error"
    """Another process has the account: this one ends."""
    STARTED_WITHOUT_DATABASE = "started_without_database", CRITICAL, "error positions lives"
    """A start from what this machine remembers: protection only."""
    REQUEST_WITHHELD = "request_withheld", WARNING, "deed error"
    """A request was not sent since the account may be another's."""

    ENTRIES_PAUSED = "entries_paused", WARNING, "reason uid"
    """An operator stopped entries."""
    ENTRIES_RESUMED = "entries_resumed", INFO, "uid"
    """An operator opened them again."""
    KILL_SWITCH_ARMED = "kill_switch_armed", WARNING, "accounts reason uid"
    """An operator took the first of two steps to stop everything."""
    KILL_SWITCH_FIRED = "kill_switch_fired", CRITICAL, "account by positions cause fired_at ..."
    """Entries are closed and everything owned is being closed, until a reset."""
    KILL_SWITCH_FLAT = "kill_switch_flat", WARNING, "account after_s"
    """Nothing is left of what the kill switch had to close."""
    KILL_SWITCH_DOUBTFUL = "kill_switch_doubtful", WARNING, "account cause ..."
    """One of two sources alone says that a limit of the kill switch is passed: it does not fire."""
    LOSSES_COUNTED_FROM = "losses_counted_from", INFO, "account source value at"
    """A source of the automatic kill switch was not read when the day began: its day is counted from here."""
    KILL_SWITCH_RESET = "kill_switch_reset", WARNING, "account by positions"
    """An operator opened entries again."""
    OPERATOR_COMMAND = "operator_command", INFO, "method uid ..."
    """What an operator asked for over the control socket."""
    SETTINGS_RELOADED = "settings_reloaded", INFO, "by changed needs_restart"
    """Settings were read anew."""
    SETTINGS_REFUSED = "settings_refused", WARNING, "by error problems"
    """What was read is wrong: the old ones stay."""
    SYMBOL_SETTINGS_CHANGED = "symbol_settings_changed", INFO, "by uid old new"
    """What holds for one symbol changed."""
    SYMBOL_SETTINGS_REFUSED = "symbol_settings_refused", WARNING, "name error"
    """A row of symbol settings breaks a rule: left out."""
    ACTOR_CRASHED = "actor_crashed", ERROR, _FELL
    """An actor died."""
    ACTOR_RESTARTED = "actor_restarted", WARNING, _FELL
    """Its successor runs."""
    ACTOR_HUNG = "actor_hung", ERROR, _FELL
    """An actor did not answer: fenced and replaced."""
    ACTOR_POISONED = "actor_poisoned", CRITICAL, _FELL
    """One message killed an actor twice: put aside."""
    ACTOR_ESCALATED = "actor_escalated", CRITICAL, _FELL
    """An actor falls again and again: restarted ever more slowly."""
    ACTOR_STEADY = "actor_steady", WARNING, _FELL
    """That is over."""
    GROUP_ESCALATED = "group_escalated", CRITICAL, _FELL
    """Many actors of one supervisor fall."""
    GROUP_STEADY = "group_steady", WARNING, _FELL
    """That is over."""
    EXCHANGE_RESTARTED = "exchange_restarted", WARNING, "exchange"
    """The paper exchange had died and was started again."""
    WEB_LISTENING = "web_listening", INFO, "url beyond_this_machine"
    """The page is served; a WARNING where others than this machine can reach it."""
    WEB_UNAVAILABLE = "web_unavailable", WARNING, "host port again_s"
    """Its port cannot be had: trading goes on, and it is tried again every `again_s`."""

    ALERT_RAISED = "alert_raised", WARNING, "alert condition text ..."
    """A standing alert begins; `condition` names it until it is over."""
    ALERT_REPEATED = "alert_repeated", INFO, "alert condition text stands_s"
    """A CRITICAL one goes on, and nobody has acknowledged it."""
    ALERT_ACKNOWLEDGED = "alert_acknowledged", INFO, "alert condition uid"
    """An operator knows of it: it is not repeated any more."""
    ALERT_CLEARED = "alert_cleared", INFO, "alert condition text stood_s"
    """It is over."""
    ALERT_UNDELIVERED = "alert_undelivered", ERROR, "channel error alerts"
    """A channel refuses a message for itself: put aside for that channel, and told by the others."""
    CHANNEL_FAILED = "channel_failed", WARNING, "channel error waiting"
    """A channel takes nothing; its alerts wait."""
    CHANNEL_RESTORED = "channel_restored", INFO, "channel"
    """It takes them again."""
    HEARTBEAT_FAILED = "heartbeat_failed", WARNING, "error"
    """The heartbeat address does not answer: who watches us from outside will say that we are dead."""
    HEARTBEAT_RESTORED = "heartbeat_restored", INFO, ""
    """It answers again."""
    DAILY_DIGEST = "daily_digest", INFO, "day text ..."
    """The day in figures."""


class Happening(NamedTuple):
    """Something that happened, before anybody gave it a place in a record. `data` holds JSON-ready values only."""

    type: EventType
    data: dict[str, str | int | bool | None]
    severity: Severity | None = None
    order_id: str | None = None

    @property
    def grave(self) -> Severity:
        """The severity in force."""
        return self.severity or self.type.severity
