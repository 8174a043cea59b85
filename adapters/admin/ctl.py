"""`python main.py ctl METHOD [ID] [key=value ...]`: one control message, its answer as a table, JSON or CSV.

Values go as text, exactly as typed, so that no digit of a price is lost on the way; only [...] and {...} are read as
JSON. Exit codes: 0 done, 1 refused or failed, 2 usage, 3 no service running.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from adapters.admin.client import DEFAULT_TIMEOUT_S, AdminClient, NoService, NotPermitted
from adapters.admin.methods import METHODS, method_of, positional_of
from adapters.admin.protocol import INVALID_PARAMS, METHOD_NOT_FOUND, AdminError, printable

DONE = 0
REFUSED = 1
USAGE = 2
NO_SERVICE = 3

WATCH = "watch"
FOLLOWED = "events.follow"
REPORT = "report"
OPTIONS = "A value that has no name goes to the first parameter. --json: the raw result; `ctl --help`: all methods."

# From the settings file named by --settings (None: the usual one) to the socket's path.
FindSocket = Callable[[Path | None], Path]


def main(argv: Sequence[str], find_socket: FindSocket) -> int:
    """Carries out one `ctl` command and returns the exit code. What `find_socket` raises passes through."""
    parser = _parser()
    if {"-h", "--help"} & set(argv) and (asked := next((method_of(word) for word in argv if method_of(word)), None)):
        print(f"usage: python main.py ctl {asked.name} {asked.usage}".rstrip() + f"\n\n{asked.line}\n\n{OPTIONS}")
        return DONE
    try:
        given = parser.parse_intermixed_args(list(argv))
        method, params = given.method, _params(parser, given.method, given.words)
        if given.follow:
            if method != "events":
                parser.error("--follow goes with events")
            method = FOLLOWED
        if given.csv and (method != REPORT or given.json):
            parser.error("--csv goes with report, and without --json")
    except SystemExit as usage:  # argparse has printed help or the error
        return DONE if usage.code in (0, None) else USAGE
    path = find_socket(given.settings)
    try:
        if method == WATCH:
            return _watch(parser, path, params, given.timeout)
        with AdminClient(path, timeout_s=given.timeout) as client:
            if method == FOLLOWED:
                _follow(client, params, as_json=given.json)
                return _complain(f"the service at {path} ended it", NO_SERVICE)
            result = client.call(method, params)
            _print(method, result, as_json=given.json, as_csv=given.csv)
            sys.stdout.flush()
            if given.csv and result.get("closed_cut"):
                return _complain(f"only the first {len(result['closed'])} are listed: ask for shorter spans", REFUSED)
    except AdminError as error:
        return _failed(error, as_json=given.json)
    except NoService as error:
        return _complain(str(error), NO_SERVICE)
    except NotPermitted as error:
        return _complain(str(error), REFUSED)
    except TimeoutError:
        return _complain(f"no answer within {given.timeout:g} s; what was asked may still be carried out", REFUSED)
    except BrokenPipeError:  # `ctl ... | head`: the reader has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except KeyboardInterrupt:
        return DONE if method in (FOLLOWED, WATCH) else REFUSED
    return DONE


def _parser() -> argparse.ArgumentParser:
    width = max(len(method.name) for method in METHODS)
    lines = [f"  {method.name:<{width}}  {method.line}" for method in METHODS]
    lines.append(f"  {WATCH:<{width}}  positions, stops, actors and events, live; q quits")
    usages = [f"  ctl {method.name} {method.usage}" for method in METHODS if method.usage]
    parser = argparse.ArgumentParser(
        prog="python main.py ctl",
        description="Asks or tells the running service.",
        epilog="\n".join(["methods:", *lines, "", "parameters:", *usages]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("method", metavar="METHOD", help="what to ask for: see below")
    parser.add_argument("words", metavar="ID | key=value", nargs="*", help="parameters of the method")
    parser.add_argument("--json", action="store_true", help="the raw result")
    parser.add_argument("--csv", action="store_true", help="with report: its closed positions as CSV")
    parser.add_argument("--follow", action="store_true", help="with events: go on until Ctrl-C")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="settings file of the service (./settings.toml)")
    parser.add_argument("--timeout", type=_seconds, default=DEFAULT_TIMEOUT_S, metavar="S", help="wait for an answer")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError("must be above 0 and at most 3600")
    return seconds


def _params(parser: argparse.ArgumentParser, method: str, words: Sequence[str]) -> dict[str, object]:
    params: dict[str, object] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            name, text = positional_of(method), word
        if not name:
            parser.error(f"{word}: a parameter is written key=value")
        if name in params:
            parser.error(f"{name} is given twice: {params[name]} and {text}")
        params[name] = _value(parser, name, text)
    return params


def _value(parser: argparse.ArgumentParser, name: str, text: str) -> object:
    if not text.startswith(("[", "{")):
        return text
    try:
        return json.loads(text, parse_float=str)
    except ValueError as error:
        parser.error(f"{name} = {text}: not JSON: {error}")


def _watch(parser: argparse.ArgumentParser, path: Path, params: dict[str, object], timeout_s: float) -> int:
    """The live view where there is a terminal, else one picture."""
    from adapters.admin import watch

    try:
        every_s = _seconds(str(params.pop("every", watch.EVERY_S)))
        if params:
            parser.error(f"{next(iter(params))}: watch takes every= (seconds) only")
    except (ValueError, argparse.ArgumentTypeError) as wrong:
        return _complain(f"every: {wrong}", USAGE)
    except SystemExit:
        return USAGE
    return watch.run(lambda: AdminClient(path, timeout_s=timeout_s), every_s)


def _follow(client: AdminClient, params: dict[str, object], *, as_json: bool) -> None:
    """Prints events as they come, until the service ends it."""
    for event in client.follow(FOLLOWED, params):
        _print_event(event, as_json=as_json)
        sys.stdout.flush()


def _print(method: str, result: Any, *, as_json: bool, as_csv: bool) -> None:
    if as_json:
        print(json.dumps(result, indent=2, ensure_ascii=False))
        return
    if as_csv:
        _print_csv(result["closed"])
        return
    from adapters.admin.tables import show

    show(method, result, datetime.now().astimezone())


def _print_csv(rows: Sequence[dict[str, Any]]) -> None:
    """A line a position, the columns' names first."""
    import csv

    if not rows:
        return
    written = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
    written.writeheader()
    written.writerows(rows)


def _print_event(event: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(event, ensure_ascii=False))
        return
    from adapters.admin.tables import event_line

    print(event_line(event, datetime.now().astimezone()))


def _failed(error: AdminError, *, as_json: bool) -> int:
    if as_json:
        body = {"code": error.code, "message": error.message, "data": error.data}
        print(json.dumps({"error": body}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"{printable(error.message)} ({error.code})", file=sys.stderr)
        for name, value in (error.data or {}).items():
            print(f"  {name}: {printable(str(value))}", file=sys.stderr)
    return USAGE if error.code in (INVALID_PARAMS, METHOD_NOT_FOUND) else REFUSED


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code
