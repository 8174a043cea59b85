"""Every event there is: its type, how grave it is by itself, and the tag of its log line.

An event type's value is what the database column `event_type` holds; known names are kept for those who query them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


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


class EventType(StrEnum):
    """The catalogue."""

    SERVICE_STARTED = "service_started"
    SERVICE_STOPPED = "service_stopped"
    ACCOUNT_CONNECTED = "account_connected"
    ACCOUNT_CHECKED = "account_checked"
    ACCOUNT_DOUBTFUL = "account_doubtful"
    ACCOUNT_REFUSED = "account_refused"
    ACCOUNT_MENDED = "account_mended"

    SIGNAL_FEED_CONNECTED = "signal_feed_connected"
    SIGNAL_FEED_LOST = "signal_feed_lost"
    SIGNAL_RECEIVED = "signal_received"
    SIGNAL_MALFORMED = "signal_malformed"
    SIGNAL_ACCEPTED = "signal_accepted"
    SIGNAL_REFUSED = "signal_refused"
    STRATEGY_STARTED = "strategy_started"
    STRATEGY_RAN = "strategy_ran"
    WAVE_FINISHED = "wave_finished"

    POSITION_CREATED = "position_created"
    ENTRY_PLACED = "entry_placed"
    ENTRY_ACCEPTED = "entry_accepted"
    ENTRY_FILLED = "entry_filled"
    ENTRY_REFUSED = "entry_refused"
    ENTRY_UNKNOWN = "entry_unknown"
    POSITION_FAILED = "position_failed"

    STOP_LOSS_SENT = "stop_loss_sent"
    STOP_LOSS_PLACED = "stop_loss_placed"
    STOP_LOSS_REFUSED = "stop_loss_refused"
    STOP_LOSS_UNKNOWN = "stop_loss_unknown"
    STOP_LOSS_MOVED = "stop_loss_moved"
    STOP_LOSS_CHANGED_OUTSIDE = "stop_loss_changed_outside"
    STOP_LOSS_CANCEL_SENT = "stop_loss_cancel_sent"
    STOP_LOSS_CANCELLED = "stop_loss_cancelled"
    STOP_LOSS_TRIGGERED = "stop_loss_triggered"
    STOP_LOSS_LOST = "stop_loss_lost"
    STOP_LOSS_RECOVERED = "stop_loss_recovered"
    STOP_LOSS_STUCK = "stop_loss_stuck"
    STOP_LOSS_DUPLICATE = "stop_loss_duplicate"
    STOP_LOSS_EXISTS = "stop_loss_exists"

    TAKE_PROFIT_SENT = "take_profit_sent"
    TAKE_PROFIT_PLACED = "take_profit_placed"
    TAKE_PROFIT_REFUSED = "take_profit_refused"
    TAKE_PROFIT_UNKNOWN = "take_profit_unknown"
    TAKE_PROFIT_CANCEL_SENT = "take_profit_cancel_sent"
    TAKE_PROFIT_CANCELLED = "take_profit_cancelled"
    TAKE_PROFIT_TRIGGERED = "take_profit_triggered"
    TAKE_PROFIT_FILLED = "take_profit_filled"
    TAKE_PROFIT_LOST = "take_profit_lost"
    TAKE_PROFIT_MERGED = "take_profit_merged"
    TAKE_PROFIT_PASSED = "take_profit_passed"
    TAKE_PROFIT_REDUCED = "take_profit_reduced"

    TRAILING_STOP_CREATED = "trailing_stop_created"
    TRAILING_BREAKEVEN = "trailing_breakeven"
    TRAILING_ACTIVATED = "trailing_activated"
    TRAILING_MOVED = "trailing_moved"
    TRAILING_MOVE_FAILED = "trailing_move_failed"
    TRAILING_EXTREME_RECOVERED = "trailing_extreme_recovered"
    TRAILING_REMOVED = "trailing_removed"
    PRICE_RANGE = "price_range"

    POSITION_UNPROTECTED = "position_unprotected"
    POSITION_PROTECTED = "position_protected"
    EXIT_PLACED = "exit_placed"
    EXIT_ACCEPTED = "exit_accepted"
    EXIT_FILLED = "exit_filled"
    EXIT_REFUSED = "exit_refused"
    EXIT_UNKNOWN = "exit_unknown"
    CLOSE_REQUESTED = "close_requested"
    ROLLBACK_STARTED = "rollback_started"
    EMERGENCY_STOP = "emergency_stop"
    POSITION_NEEDS_INTERVENTION = "position_needs_intervention"
    POSITION_INTERVENTION_OVER = "position_intervention_over"
    FILL = "fill"
    POSITION_CHANGED_OUTSIDE = "position_changed_outside"
    POSITION_CLOSED = "position_closed"
    POSITION_ROLLED_BACK = "position_rolled_back"
    POSITION_LIQUIDATED = "position_liquidated"
    POSITION_RECOVERED = "position_recovered"
    POSITION_ADOPTED = "position_adopted"
    POSITION_RELEASED = "position_released"
    POSITION_ERROR = "position_error"
    STOP_OVERRIDDEN = "stop_overridden"
    TRAILING_CHANGED = "trailing_changed"
    RULES_TIGHTENED = "rules_tightened"

    ORDER_REFUSED_UNSAFE = "order_refused_unsafe"
    REQUEST_FENCED = "request_fenced"
    RATE_LIMITED = "rate_limited"
    VENUE_BANNED = "venue_banned"
    VENUE_MAINTENANCE = "venue_maintenance"
    VENUE_RESUMED = "venue_resumed"
    INSTRUMENTS_REFRESHED = "instruments_refreshed"
    INSTRUMENT_CHANGED = "instrument_changed"
    INTENT_SPOOLED = "intent_spooled"
    PRICE_STALE = "price_stale"
    PRICE_FRESH = "price_fresh"
    SPREAD_WIDE = "spread_wide"

    RECONCILE_STARTED = "reconcile_started"
    RECONCILE_FINDING = "reconcile_finding"
    RECONCILE_FINISHED = "reconcile_finished"
    RECONCILE_FAILED = "reconcile_failed"
    ORPHAN_CANCELLED = "orphan_cancelled"

    STREAM_CONNECTED = "stream_connected"
    STREAM_LOST = "stream_lost"
    DATABASE_LOST = "database_lost"
    DATABASE_RESTORED = "database_restored"
    RECORD_POISONED = "record_poisoned"
    LOCK_TAKEN = "lock_taken"
    LOCK_LOST = "lock_lost"
    ACCOUNT_SUPERSEDED = "account_superseded"
    STARTED_WITHOUT_DATABASE = "started_without_database"
    REQUEST_WITHHELD = "request_withheld"

    ENTRIES_PAUSED = "entries_paused"
    ENTRIES_RESUMED = "entries_resumed"
    OPERATOR_COMMAND = "operator_command"
    SETTINGS_RELOADED = "settings_reloaded"
    SETTINGS_REFUSED = "settings_refused"
    SYMBOL_SETTINGS_CHANGED = "symbol_settings_changed"
    SYMBOL_SETTINGS_REFUSED = "symbol_settings_refused"
    ACTOR_CRASHED = "actor_crashed"
    ACTOR_RESTARTED = "actor_restarted"
    ACTOR_HUNG = "actor_hung"
    ACTOR_POISONED = "actor_poisoned"
    ACTOR_ESCALATED = "actor_escalated"
    ACTOR_STEADY = "actor_steady"
    GROUP_ESCALATED = "group_escalated"
    GROUP_STEADY = "group_steady"
    EXCHANGE_RESTARTED = "exchange_restarted"


class Entry(NamedTuple):
    """How an event is reported unless the happening itself says otherwise."""

    severity: Severity
    tag: str


_SPECIAL = {
    EventType.ENTRY_PLACED: Entry(Severity.INFO, "ORDER_PLACED"),
    EventType.ENTRY_FILLED: Entry(Severity.INFO, "ORDER_FILLED"),
    EventType.EXIT_PLACED: Entry(Severity.INFO, "ORDER_PLACED"),
    EventType.EXIT_FILLED: Entry(Severity.INFO, "ORDER_FILLED"),
    EventType.STOP_LOSS_PLACED: Entry(Severity.INFO, "SLTP_PLACED"),
    EventType.STOP_LOSS_EXISTS: Entry(Severity.INFO, "SLTP_SKIPPED_ALREADY_EXISTS"),
    EventType.TAKE_PROFIT_PLACED: Entry(Severity.INFO, "SLTP_PLACED"),
    EventType.POSITION_UNPROTECTED: Entry(Severity.INFO, "[UNPROTECTED_POSITION]"),
    EventType.ROLLBACK_STARTED: Entry(Severity.CRITICAL, "[AUTO_CLOSE]"),
    EventType.RECONCILE_STARTED: Entry(Severity.DEBUG, "RUN_START"),
    EventType.RECONCILE_FINISHED: Entry(Severity.DEBUG, "RUN_END"),
}
_SEVERITIES = {
    Severity.DEBUG: (
        EventType.PRICE_RANGE,
        EventType.STOP_LOSS_SENT,
        EventType.STOP_LOSS_CANCEL_SENT,
        EventType.FILL,
        EventType.TAKE_PROFIT_SENT,
        EventType.TAKE_PROFIT_CANCEL_SENT,
    ),
    Severity.WARNING: (
        EventType.SIGNAL_FEED_LOST,
        EventType.SIGNAL_MALFORMED,
        EventType.ENTRY_REFUSED,
        EventType.ENTRY_UNKNOWN,
        EventType.STOP_LOSS_REFUSED,
        EventType.STOP_LOSS_UNKNOWN,
        EventType.STOP_LOSS_LOST,
        EventType.STOP_LOSS_CHANGED_OUTSIDE,
        EventType.STOP_LOSS_DUPLICATE,
        EventType.STOP_LOSS_STUCK,
        EventType.TRAILING_MOVE_FAILED,
        EventType.TAKE_PROFIT_REFUSED,
        EventType.TAKE_PROFIT_UNKNOWN,
        EventType.TAKE_PROFIT_LOST,
        EventType.EXIT_REFUSED,
        EventType.EXIT_UNKNOWN,
        EventType.POSITION_CHANGED_OUTSIDE,
        EventType.POSITION_ADOPTED,
        EventType.POSITION_RELEASED,
        EventType.REQUEST_FENCED,
        EventType.REQUEST_WITHHELD,
        EventType.RATE_LIMITED,
        EventType.ACCOUNT_DOUBTFUL,
        EventType.VENUE_MAINTENANCE,
        EventType.INSTRUMENT_CHANGED,
        EventType.INTENT_SPOOLED,
        EventType.PRICE_STALE,
        EventType.SPREAD_WIDE,
        EventType.RECONCILE_FINDING,
        EventType.RECONCILE_FAILED,
        EventType.ORPHAN_CANCELLED,
        EventType.STREAM_LOST,
        EventType.ACTOR_RESTARTED,
        EventType.ACTOR_STEADY,
        EventType.GROUP_STEADY,
        EventType.ENTRIES_PAUSED,
        EventType.SETTINGS_REFUSED,
        EventType.SYMBOL_SETTINGS_REFUSED,
        EventType.EXCHANGE_RESTARTED,
    ),
    Severity.ERROR: (EventType.POSITION_ERROR, EventType.ACTOR_CRASHED, EventType.ACTOR_HUNG),
    Severity.CRITICAL: (
        EventType.EMERGENCY_STOP,
        EventType.POSITION_NEEDS_INTERVENTION,
        EventType.POSITION_ROLLED_BACK,
        EventType.POSITION_LIQUIDATED,
        EventType.ORDER_REFUSED_UNSAFE,
        EventType.DATABASE_LOST,
        EventType.RECORD_POISONED,
        EventType.LOCK_LOST,
        EventType.ACCOUNT_SUPERSEDED,
        EventType.STARTED_WITHOUT_DATABASE,
        EventType.ACCOUNT_REFUSED,
        EventType.VENUE_BANNED,
        EventType.ACTOR_POISONED,
        EventType.ACTOR_ESCALATED,
        EventType.GROUP_ESCALATED,
    ),
}
CATALOGUE: dict[EventType, Entry] = {
    **{event: Entry(Severity.INFO, event.name) for event in EventType},
    **{event: Entry(severity, event.name) for severity, events in _SEVERITIES.items() for event in events},
    **_SPECIAL,
}


class Happening(NamedTuple):
    """Something that happened, before anybody gave it a place in a record. `data` holds JSON-ready values only."""

    type: EventType
    data: dict[str, str | int | bool | None]
    severity: Severity | None = None
    order_id: str | None = None

    @property
    def grave(self) -> Severity:
        """The severity in force."""
        return self.severity or CATALOGUE[self.type].severity
