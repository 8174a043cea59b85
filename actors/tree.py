"""The actor tree: which actors there are, how each is made, restarted and stopped. Data first, then it is started.

    root
    ├── journal            the book
    ├── notifier           alerts to humans
    ├── alarms             what stands until it is over
    ├── warden             database, paper exchanges, locks
    ├── gateway/…          for each account: the only way to its exchange
    ├── entry_desk         wishes to positions
    ├── for each account:
    │   ├── market_feed    mark prices
    │   ├── positions      supervisor: one owner a position
    │   ├── reconciler     the book against the exchange
    │   └── account_feed   orders, fills, positions as the venue pushes them
    ├── kill_switch        stops everything when told to, until reset
    ├── performance        how each account does
    ├── signal_feed        signals in
    ├── strategy/…         for each account, where it is enabled: the built-in signals
    ├── symbol_keeper      what is set for single symbols
    ├── judge              scores of the open positions, rules of age
    ├── archivist          months of events: made ahead, archived when old
    ├── admin              the control socket
    └── web                the page and the endpoints over HTTP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from actors import account_feed as private_feed
from actors import (
    admin,
    alarms,
    archivist,
    entry_desk,
    gateway,
    hunt,
    journal,
    judge,
    kill_switch,
    market_feed,
    messages,
    notifier,
    performance,
    reconciler,
    signal_feed,
    strategy,
    symbol_keeper,
    warden,
)
from actors import position as owner
from actors.alerting_messages import ALARMS
from actors.core_values import wave_rules_of
from actors.directory import Directory
from actors.disagreements import thresholds
from actors.fall_reports import FallReports
from actors.foundation import Account, Ground
from actors.guard import ActorContext, GuardedActor
from actors.healths import Healths
from actors.marks import Marks
from actors.memory import replay
from actors.messages import Write
from actors.owners import Owners
from actors.recording import Recorder, log, plain_event
from actors.refs import GuardedRef, StartFailedError, guarded, stop_and_wait
from actors.restarts import Roster
from actors.root import RootWatch, start_root, stop_root, supervisor_alive
from actors.ruling import Ruling
from actors.standing import expected_of
from actors.superseded import Superseded
from actors.supervision import ChildSpec, Down
from actors.supervisor import Supervisor
from actors.switch_memory import recall_all
from actors.switch_messages import KILL_SWITCH
from actors.web import component as web
from adapters.exchange.factory import open_account_stream, open_prices, open_trading, venue_rules
from adapters.signals.demo_source import DemoSource
from config.secrets import Secrets
from domain.alerting.evidence import Evidence
from domain.catalogue import EventType
from domain.position.state import Position
from persistence.digest import read_day
from persistence.positions import load_open

# A stop this far from the mark is a mistake whoever decided it; a trailing-less winner's first stop may lag far behind.
LAST_CHECK_REACH_PCT = Decimal(60)
WATCHED_SYMBOLS = 50
# Nothing is protected without a gateway: when the exchange answers again, it must not sleep.
GATEWAY_BACKOFF_S = 2.0
# What is written waits for it in memory.
JOURNAL_BACKOFF_S = 2.0
# One account's exchange that does not answer at the start keeps nobody from protecting the others.
GATEWAY_AWAITED_S = 10.0
# Who only looks, tells or keeps never decides whether positions are protected: the start goes on without it.
ONLOOKER_AWAITED_S = 5.0


class Tree:
    """The running tree."""

    def __init__(self, ground: Ground) -> None:
        """Nothing runs before `start`."""
        self._ground = ground
        self._settings = ground.settings
        self.directory = Directory()
        self.recorder = Recorder(ground.started_at)
        accounts = ground.settings.accounts.items()
        self.owners = Owners(frozenset(name for name, account in accounts if account.hedge_mode))
        self.marks = Marks()
        self.healths = Healths()
        self.ruling = Ruling(
            ground.settings,
            ground.load_settings,
            {account.name: account.instruments for account in ground.accounts},
            ground.reader,
            ground.clock,
            self.owners,
            self.directory,
            self.write,
        )
        self.recorder.flags = self.ruling.alert_flags
        self.recorder.secrets = Secrets(ground.settings.secrets())
        self.root: GuardedRef[Supervisor] | None = None
        self._given_up = False
        self._switches_written: dict[str, int] = {}
        self._reports = FallReports(self.recorder, self.directory, ground.clock, self.owners)
        self._rosters = {account.name: Roster() for account in ground.accounts}
        self._superseded = Superseded(ground, self.owners, self.recorder)
        self._owners_wiring = {account.name: self._owner_wiring(account) for account in ground.accounts}

    def start(self, unless: Callable[[], bool] | None = None) -> None:
        """Load the book, then start everybody in order, `unless` says not to. Raises StartFailedError, DatabaseAway."""
        if self._ground.remembered is None:
            replay(self._ground.spool, self._ground.conninfo)  # else the journal does, once the database may be written
        self._load_book()
        self._switches_written = recall_all(self._ground)
        try:
            self.root = start_root(
                messages.ROOT,
                roster=Roster(self._specs()),
                directory=self.directory,
                clock=self._ground.clock,
                report_down=self._root_down,
                chaos=self._settings.chaos.enabled,
                observer=self._reports,
                unless=unless,
            )
        except StartFailedError:
            self._given_up = unless is not None and unless()
            raise
        self._superseded.write(self.directory)

    @property
    def sound(self) -> bool:
        """Whether it can be stopped in order: nothing was left in the middle of its start, and its root lives."""
        return not self._given_up and (self.root is None or supervisor_alive(self.root))

    def watch(self, every_s: float) -> RootWatch:
        """Who looks after the root. Raises RuntimeError before `start`."""
        if self.root is None:
            raise RuntimeError("the tree has not been started")
        hang_after_s = self._settings.supervision.hang_after_s
        return RootWatch(
            self.root, self.directory, self._ground.clock, every_s=every_s, hang_after_s=hang_after_s
        )

    def flush(self, seconds: float) -> bool:
        """Have the journal write what it has, and end; for a tree that cannot be stopped any more. False: not in time.

        Without it nothing of value is lost: what was sent is durable, and a start asks the exchange.
        """
        ref = self.directory.ref(messages.JOURNAL)
        return ref is None or stop_and_wait(guarded(ref), seconds)

    def stop(self, seconds: float = 30.0) -> bool:
        """Stop everybody in reverse order; protective orders stay on the exchange. False if it was not done in time."""
        return self.root is None or stop_root(self.root, self.directory, seconds)

    def write(self, event: EventType, data: dict[str, object], facts: dict[str, object] | None = None) -> None:
        """An event of the service itself, with what is to be remembered beside it."""
        now = self._ground.clock.now()
        told = plain_event(event, now, data)
        log([told])
        self.directory.tell(messages.JOURNAL, Write(record=self.recorder.record(now, events=[told], facts=facts)))

    # The book.

    def _load_book(self) -> None:
        """Everything that was open when the last process ended gets its owner back (SYSTEM D4)."""
        for account in self._ground.accounts:
            # The newest first: of two on one place the older one's life was over, and its last record got lost.
            found = self._open_positions(account.name)
            for position in sorted(found, key=lambda p: p.id, reverse=True):
                wiring = self._owners_wiring[account.name]
                if self.owners.claim(self.owners.place_of(position), position):
                    self._rosters[account.name].add(owner.position_spec(wiring, position.id))
                else:
                    self._superseded.found(position, wiring.epoch(0))
        self._ground.book.hold(self.owners.all())

    def _open_positions(self, account: str) -> list[Position]:
        if self._ground.remembered is None:
            return load_open(self._ground.reader.pool, account)
        return [position for position in self._ground.remembered if position.account == account]

    def _owner_wiring(self, account: Account) -> owner.Wiring:
        supervision = self._settings.supervision
        return owner.Wiring(
            account=account.name,
            term=account.lock.term,
            first_incarnation=account.first_incarnation,
            doubtful=account.doubtful,
            owners=self.owners,
            marks=self.marks,
            recorder=self.recorder,
            hang_after_s=supervision.hang_after_s,
            base_backoff_s=supervision.base_backoff_s,
            max_backoff_s=supervision.max_backoff_s,
        )

    # Children.

    def _specs(self) -> Iterable[ChildSpec]:
        yield self._spec(
            messages.JOURNAL, journal.Journal, self._journal(), shutdown_s=10, max_backoff_s=JOURNAL_BACKOFF_S
        )
        yield self._spec(messages.NOTIFIER, notifier.Notifier, self._notifier())
        yield self._onlooker(ALARMS, alarms.Alarms, self._alarms())
        yield self._spec(messages.WARDEN, warden.Warden, self._warden())
        for account in self._ground.accounts:
            yield self._spec(
                messages.gateway(account.name),
                gateway.Gateway,
                self._gateway(account),
                start_s=60,
                max_backoff_s=GATEWAY_BACKOFF_S,
                awaited_s=GATEWAY_AWAITED_S,
            )
        keeper = self.ruling.keeper(self.recorder, self._ground.conninfo)
        yield self._spec(messages.SYMBOL_KEEPER, symbol_keeper.SymbolKeeper, keeper)
        # Between the gateways, which know the markets, and the reconcilers, which tell it that an account was read.
        yield self._spec(messages.ENTRY_DESK, entry_desk.EntryDesk, self._entry_desk())
        for account in self._ground.accounts:
            yield from self._account_specs(account)
        heard = (self._ground, self.owners, self.marks, self.ruling.in_force)
        switch = kill_switch.wiring_of(*heard, self._switches_written, self.recorder)
        yield self._spec(KILL_SWITCH, kill_switch.KillSwitch, switch)
        in_force, owners, marks = self.ruling.in_force, self.owners, self.marks
        judging = judge.Wiring(in_force=in_force, owners=owners, marks=marks, healths=self.healths)
        yield self._onlooker(judge.JUDGE, judge.Judge, judging)
        kept = performance.wiring_of(*heard, self.recorder)
        yield self._onlooker(performance.PERFORMANCE, performance.PerformanceKeeper, kept)
        feed = self._signal_feed()
        if feed is not None:
            yield self._spec(messages.SIGNAL_FEED, signal_feed.SignalFeed, feed)
        for account in self._ground.accounts:
            name, exchange = account.name, account.access.exchange
            if self._settings.runs_strategy(name):
                wiring = strategy.wiring_of(self.ruling, name, exchange, account.instruments, self.recorder)
                yield self._spec(messages.strategy(name), strategy.Strategy, wiring)
        yield self._onlooker(archivist.ARCHIVIST, archivist.Archivist, self._archivist())
        if self._settings.admin.enabled:
            yield self._spec(messages.ADMIN, admin.Admin, self._admin())
        if self._settings.web.enabled:
            yield self._onlooker(web.NAME, web.Web, web.wiring_of(self._ground, self._admin()))

    def _account_specs(self, account: Account) -> Iterable[ChildSpec]:
        name = account.name
        yield self._spec(messages.market_feed(name), market_feed.MarketFeed, self._market_feed(account))
        yield ChildSpec(
            name=messages.positions(name),
            factory=self._positions(name),
            hang_after_s=self._settings.supervision.hang_after_s,
            shutdown_s=15,
        )
        yield self._spec(messages.reconciler(name), reconciler.Reconciler, self._reconciler(account))
        yield self._spec(messages.account_feed(name), private_feed.AccountFeed, self._account_feed(account))

    def _spec(
        self,
        name: str,
        actor: type[GuardedActor],
        wiring: object,
        *,
        start_s: float = 20.0,
        shutdown_s: float = 6.0,
        max_backoff_s: float | None = None,
        awaited_s: float | None = None,
    ) -> ChildSpec:
        supervision = self._settings.supervision

        def factory(context: ActorContext) -> Any:
            return actor.start(context, wiring)

        return ChildSpec(
            name=name,
            factory=factory,
            start_s=start_s,
            shutdown_s=shutdown_s,
            hang_after_s=supervision.hang_after_s,
            base_backoff_s=supervision.base_backoff_s,
            max_backoff_s=supervision.max_backoff_s if max_backoff_s is None else max_backoff_s,
            essential=awaited_s is None,
            awaited_s=awaited_s,
        )

    def _onlooker(self, name: str, actor: type[GuardedActor], wiring: object) -> ChildSpec:
        return self._spec(name, actor, wiring, awaited_s=ONLOOKER_AWAITED_S)

    def _positions(self, account: str) -> Callable[[ActorContext], Any]:
        roster = self._rosters[account]
        return lambda context: Supervisor.start(context, roster=roster, observer=self._reports, stop_together=True)

    # What each is given.

    def _journal(self) -> journal.Wiring:
        return journal.Wiring(
            conninfo=self._ground.conninfo,
            spool=self._ground.spool,
            refused_dir=self._state_dir / "refused",
            recorder=self.recorder,
            gateways=tuple(messages.gateway(account.name) for account in self._ground.accounts),
            away_because=lambda: self._ground.attachment.closed_because,
            durable=self._ground.book.note,
        )

    def _notifier(self) -> notifier.Wiring:
        return notifier.wiring_of(self._settings.notifier, self._ground.reader, self.recorder)

    def _alarms(self) -> alarms.Wiring:
        return alarms.Wiring(
            memory=alarms.Memory(evidence=Evidence(self._ground.clock.now())),
            in_force=self.ruling.in_force,
            owners=self.owners,
            accounts=self._ground.accounts,
            earlier=self._ground.reader.alerts_standing,
            fact=self._ground.reader.fact,
            digest=lambda day: read_day(self._ground.reader, day),
            recorder=self.recorder,
        )

    def _warden(self) -> warden.Wiring:
        return warden.Wiring(
            database=self._ground.database,
            exchanges=self._ground.exchanges,
            locks={account.name: (account.lock, account.lease) for account in self._ground.accounts},
            ground=self._ground.attachment,
            book=self._ground.book,
            recorder=self.recorder,
        )

    def _archivist(self) -> archivist.Wiring:
        return archivist.Wiring(
            conninfo=self._ground.conninfo,
            rules=lambda: archivist.rules_of(self.ruling.in_force.now),
            away_because=lambda: self._ground.attachment.closed_because,
            recorder=self.recorder,
        )

    def _gateway(self, account: Account) -> gateway.Wiring:
        return gateway.Wiring(
            account=account.name,
            open_client=lambda: open_trading(account.access, self._ground.clock.now),
            expected=lambda: expected_of(self.ruling.in_force.now, account.name, account.access, account.instruments),
            standing=account.standing,
            lease=account.lease,
            instruments=account.instruments,
            owners=self.owners,
            marks=self.marks,
            spool=self._ground.spool,
            recorder=self.recorder,
            leverage=lambda symbol: self.ruling.symbols.leverage(account.name, symbol),
            max_stop_distance_pct=LAST_CHECK_REACH_PCT,
            dry_run=self._settings.service.dry_run,
        )

    def _market_feed(self, account: Account) -> market_feed.Wiring:
        def symbols() -> tuple[str, ...]:
            known = tuple(sorted(account.instruments))
            return known if len(known) <= WATCHED_SYMBOLS else ()

        return market_feed.Wiring(
            account=account.name,
            open_stream=lambda: open_prices(account.access, self._ground.clock.now),
            symbols=symbols,
            owners=self.owners,
            marks=self.marks,
            recorder=self.recorder,
        )

    def _account_feed(self, account: Account) -> private_feed.Wiring:
        return private_feed.Wiring(
            account=account.name,
            open_stream=lambda: open_account_stream(account.access, self._ground.clock.now),
            owners=self.owners,
            standing=account.standing,
            lease=account.lease,
            recorder=self.recorder,
        )

    def _reconciler(self, account: Account) -> reconciler.Wiring:
        settings = self._settings
        return reconciler.Wiring(
            account=account.name,
            interval_s=lambda: self.ruling.in_force.now.reconciler.interval_s,
            untracked=settings.untracked_policy(account.name),
            exclude=lambda: self.ruling.excluded(account.name),
            instruments=account.instruments,
            owners=self.owners,
            recorder=self.recorder,
            leverage=lambda symbol: self.ruling.symbols.leverage(account.name, symbol),
            thresholds=lambda: thresholds(self.ruling.in_force.now.reconciler),
            hunt=hunt.wired(
                account.name, self._ground.instance, self.owners, self.ruling, self._ground.reader.fact
            ),
        )

    def _entry_desk(self) -> entry_desk.Wiring:
        return entry_desk.Wiring(
            accounts={
                account.name: entry_desk.AccountDesk(
                    exchange=account.access.exchange,
                    instance=self._ground.instance,
                    instruments=account.instruments,
                    positions=self._owners_wiring[account.name],
                    venue=venue_rules(account.access.exchange),
                    standing=account.standing,
                    adopt_stops=self._settings.accounts[account.name].adopt_stops,
                )
                for account in self._ground.accounts
            },
            spellings=self.ruling.spellings,
            owners=self.owners,
            marks=self.marks,
            reader=self._ground.reader,
            recorder=self.recorder,
            terms=self.ruling.symbols.terms,
            dry_run=self._settings.service.dry_run,
            waves=wave_rules_of(self._settings),
        )

    def _signal_feed(self) -> signal_feed.Wiring | None:
        settings = self._settings
        demo: Callable[[], DemoSource] | None = None
        if not settings.signals.url:
            if settings.service.mode != "paper" or not settings.paper.demo_signals:
                return None
            first = self._ground.accounts[0]

            def demo() -> DemoSource:
                return DemoSource(
                    tuple(sorted(first.instruments)),
                    first.access.exchange,
                    settings.paper.demo_signal_interval_s,
                    settings.paper.seed,
                )

        return signal_feed.Wiring(
            url=settings.signals.url,
            token=settings.signals.token.get_secret_value(),
            demo=demo,
            last_id=self._ground.reader.last_signal_id,
            recorder=self.recorder,
        )

    def _admin(self) -> admin.Wiring:
        return admin.Wiring(
            socket=self._settings.admin_socket,
            max_clients=self._settings.admin.max_clients,
            mode=self._settings.service.mode,
            version=self._ground.version,
            dry_run=self._settings.service.dry_run,
            chaos=self._settings.chaos.enabled,
            started_at=self._ground.started_at,
            accounts={account.name: account.access.exchange for account in self._ground.accounts},
            instruments={account.name: account.instruments for account in self._ground.accounts},
            owners=self.owners,
            marks=self.marks,
            healths=self.healths,
            reader=self._ground.reader,
            recorder=self.recorder,
            terms={account.name: account.lock.term for account in self._ground.accounts},
            request_stop=lambda reason: self._ground.request_stop(reason, 0),
            ruling=self.ruling,
        )

    @property
    def _state_dir(self) -> Path:
        return self._settings.service.state_dir

    # Supervision.

    def _root_down(self, down: Down) -> None:
        """Nothing watches the tree any more: end, so that a new process is started."""
        if not down.normal and down.error is not None:
            self._ground.request_stop(f"the root supervisor ended: {down.error}", 1)
