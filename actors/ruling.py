"""What holds now: the settings in force, what is set for single symbols, how symbols are spelled.

Made once for a tree and shared by all of its actors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.clock import Clock
from actors.directory import Directory
from actors.owners import Owners
from actors.recording import Recorder
from actors.reloading import Reloading, Tell
from actors.symbol_book import SymbolBook, laid_over
from actors.symbol_keeper import Wiring as KeeperWiring
from actors.symbol_lists import Spellings, as_spelled
from config.in_force import SettingsInForce
from config.log import change_level
from config.settings import Settings
from domain.instrument import Instrument
from domain.notices import AlertFlags
from persistence.reader import Reader


class Ruling:
    """The holders, wired to each other."""

    def __init__(
        self,
        settings: Settings,
        load_settings: Callable[[], Settings],
        instruments: Mapping[str, Mapping[str, Instrument]],
        reader: Reader,
        clock: Clock,
        owners: Owners,
        directory: Directory,
        tell: Tell,
    ) -> None:
        """`load_settings` reads them anew and raises SettingsError; `tell` writes an event of the service."""
        self._owners = owners
        self._directory = directory
        self.in_force = SettingsInForce(settings)
        self.spellings = Spellings(instruments, lambda: self.in_force.now.symbols.aliases)
        self.symbols = SymbolBook(reader, self.in_force, self.spellings, clock)
        self.reloading = Reloading(
            self.in_force,
            load=load_settings,
            terms=lambda settings, account, symbol: laid_over(settings, account, self.symbols.known(symbol)),
            set_log_level=change_level,
            owners=owners,
            directory=directory,
            tell=tell,
        )

    def excluded(self, account: str) -> frozenset[str]:
        """The symbols of an account that are left alone by the settings in force, as its venue spells them."""
        return as_spelled(self.in_force.now.accounts[account].exclude, self.spellings.of(account))

    def alert_flags(self, symbol: str) -> AlertFlags | None:
        """Which routine notices of a symbol are wanted. Asks nobody."""
        if not self.in_force.now.notifier.routine:
            return None
        own = self.symbols.known(symbol)
        return AlertFlags(
            alert=own.alert_enabled is not False,
            buy=own.buy_alert_enabled is not False,
            sell=own.sell_alert_enabled is not False,
        )

    def keeper(self, recorder: Recorder, conninfo: str) -> KeeperWiring:
        """What the keeper of per-symbol settings is given."""
        return KeeperWiring(
            book=self.symbols,
            in_force=self.in_force,
            owners=self._owners,
            directory=self._directory,
            recorder=recorder,
            conninfo=conninfo,
        )
