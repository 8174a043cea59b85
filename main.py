"""Holdfast: `python main.py [run | ctl | check | paper-exchange | replay | …]`. A script to read aloud."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from config.sources import SettingsError, admin_socket

VERSION = "0.1.0"
DONE, FAILED, USAGE, HELD = 0, 1, 2, 3
CARE = ("backup", "restore", "restore-archive")
COMMANDS = ("run", "ctl", "check", "paper-exchange", "replay", "completion", *CARE)
HELP = """usage: main.py [run] [--settings FILE]         run the service
       main.py ctl METHOD [ID] [key=value ...]  ask or tell the running service; `ctl --help` lists the methods
       main.py check [--settings FILE]          say all that is wrong with settings, database and accounts
       main.py paper-exchange [...]             the simulated exchange alone; `paper-exchange --help`
       main.py replay TAPE ... [...]            the protection rules over a tape in virtual time; `replay --help`
       main.py backup FILE                      a copy of the whole book, beside the running service or not
       main.py restore FILE                     an empty database filled from such a copy
       main.py restore-archive FILE [--drop]    a month of archived events put back, or taken away again
       main.py completion bash|zsh              what makes a shell complete these words
"""


def main(argv: list[str]) -> int:
    """Carry out one command; returns the exit code (INTERFACE 'Command line')."""
    if argv and argv[0] in ("-h", "--help", "help"):
        print(HELP, end="")
        return DONE
    command, words = (argv[0], argv[1:]) if argv and argv[0] in COMMANDS else ("run", argv)
    try:
        if command == "ctl":
            from adapters.admin import ctl

            return ctl.main(words, lambda settings: admin_socket(settings, os.environ))
        if command == "paper-exchange":
            from adapters.paper_exchange import server

            return server.main(words)
        if command == "replay":
            from actors.replay import command as replaying
            from config.load import load_settings

            return replaying.main(words, lambda settings: load_settings(settings, os.environ))
        if command == "completion":
            from adapters.admin import completion

            return completion.main(words, COMMANDS)
        if command in CARE:
            return care(command, words)
        parser = argparse.ArgumentParser(prog=f"main.py {command}")
        parser.add_argument("--settings", type=Path, help="the settings file, ./settings.toml if not given")
        if command == "run":
            parser.add_argument("--confirm-live", action="store_true", help="yes, trade these accounts' real money")
        given = parser.parse_args(words)
        return check(given.settings) if command == "check" else run(given.settings, confirm_live=given.confirm_live)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return USAGE


def run(settings_file: Path | None, *, confirm_live: bool = False) -> int:
    """The service: start it, wait, stop it."""
    from loguru import logger

    from actors.service import AccountHeld, Service, WrongAddress
    from actors.thread_dump import thread_dump
    from actors.views import what_stays
    from config.live import LiveUnconfirmed
    from config.load import load_settings
    from config.log import set_up

    settings = load_settings(settings_file, os.environ)
    set_up(settings.log, settings.service.state_dir / "logs", settings.secrets())
    for sentence in settings.without_effect():
        logger.warning("SETTINGS {}", sentence)
    service = Service(
        settings,
        VERSION,
        load_settings=lambda: load_settings(settings_file, os.environ),
        confirm_live=confirm_live,
    )

    def stop(number: int, _: FrameType | None) -> None:
        if service.insisted:
            # No more than this: whatever waits in the main thread may hold the log's lock. A kill is safe.
            os.write(sys.stderr.fileno(), b"SHUTDOWN_FORCED asked to stop twice\n")
            os._exit(FAILED)
        service.request_stop(signal.Signals(number).name, DONE)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    signal.signal(signal.SIGHUP, lambda *_: service.request_reload())
    signal.signal(signal.SIGUSR1, lambda *_: logger.warning("THREADS\n{}", thread_dump()))
    logger.info("START mode={} version={} pid={}", settings.service.mode, VERSION, os.getpid())
    try:
        service.start()
        logger.info("READY admin={}", settings.admin_socket)
        code = service.wait()
    except AccountHeld as held:
        logger.error("RUN_LOCKED account={} holder={!r}", ",".join(settings.accounts), str(held))
        code = HELD
    except WrongAddress as refusal:
        logger.error("WRONG_ADDRESS {}", refusal)
        code = USAGE
    except LiveUnconfirmed as refusal:
        logger.error("LIVE_UNCONFIRMED {}", refusal)
        code = USAGE
    except Exception as error:  # noqa: BLE001 - whatever could not be had ends the start, said plainly
        logger.opt(exception=error).critical("START_FAILED error={!r}", f"{type(error).__name__}: {error}")
        code = FAILED
    service.stop(lambda tree: what_stays(tree.owners))
    # Threads that hang must not keep the process: everything that matters has been closed above.
    sys.stdout.flush()
    sys.stderr.flush()
    logger.complete()
    os._exit(code)


def care(command: str, words: list[str]) -> int:
    """Look after the book while no service has to run: copies of it, and archived months put back."""
    from actors.care import CareFailed, carry_out
    from config.load import load_settings

    try:
        print(carry_out(command, words, lambda settings: load_settings(settings, os.environ)))
    except CareFailed as failed:
        print(failed, file=sys.stderr)
        return FAILED
    return DONE


def check(settings_file: Path | None) -> int:
    """Settings, and what they point at: everything that is wrong, in one run. Changes and starts nothing."""
    from loguru import logger

    from actors.inspection import as_text, inspect
    from config.load import load_settings

    logger.remove()  # the report says it all
    sections = inspect(load_settings(settings_file, os.environ))
    print(as_text(sections))
    return FAILED if any(section.wrong for section in sections) else DONE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
