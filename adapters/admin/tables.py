"""Results as tables for people.

Rules of this file: a figure is shown as it came, whole: a cell folds before it loses a digit. Text of
others (symbols, errors, event data) is shown as text only: no markup, no control characters. A result that is not known
here is shown too.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from adapters.admin.protocol import printable

# Wide enough for any row where there is no terminal to ask.
WIDTH_WITHOUT_TERMINAL = 240
ABSENT = "-"
SEVERITY_STYLES = {"WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
POSITION_COLUMNS = (
    ("id", "id"),
    ("account", "account"),
    ("symbol", "symbol"),
    ("side", "side"),
    ("state", "state"),
    ("quantity", "quantity"),
    ("entry", "entry_price"),
    ("mark", "mark_price"),
    ("stop", "stop_price"),
    ("trailing", "trailing.state"),
    ("moves", "trailing.updates"),
    ("P&L", "unrealized_pnl"),
    ("risk", "risk.level"),
    ("unprotected s", "unprotected_seconds"),
    ("opened", "opened_at"),
)
ZOMBIE_COLUMNS = (
    ("account", "account"),
    ("symbol", "symbol"),
    ("what", "kind"),
    ("whose", "whose"),
    ("order", "order_id"),
    ("client id", "client_id"),
    ("side", "side"),
    ("position side", "position_side"),
    ("quantity", "quantity"),
    ("trigger", "trigger_price"),
    ("became", "result"),
    ("why", "error"),
)
ACTOR_COLUMNS = (
    ("actor", "name"),
    ("state", "state"),
    ("epoch", "epoch"),
    ("restarts", "restarts"),
    ("mailbox", "mailbox"),
    ("heartbeat s", "heartbeat_age_s"),
    ("last error", "last_error"),
)


def show(method: str, result: object, now: datetime, *, file: Any = None) -> None:
    """Prints the result of `method`. `now` decides which times need their date."""
    console = Console(file=file, highlight=False, markup=False, emoji=False)
    if not console.is_terminal:
        console.width = WIDTH_WITHOUT_TERMINAL
    render = _RENDERERS.get(method, _anything)
    console.print(render(result, now))


def event_line(event: Mapping[str, Any], now: datetime) -> str:
    """One event as one line, for following."""
    known = {"seq", "ts", "type", "severity", "position_id", "symbol", "correlation_id", "data"}
    parts = [
        _cell(event.get("ts"), now),
        f"{_cell(event.get('severity'), now):<8}",
        _cell(event.get("type"), now),
        *(f"{name}={_cell(event[name], now)}" for name in ("symbol", "position_id") if event.get(name) is not None),
        _words(event.get("data"), now),
        *(f"{name}={_cell(value, now)}" for name, value in event.items() if name not in known),
    ]
    return " ".join(part for part in parts if part)


def position_table(rows: Sequence[Any], now: datetime) -> RenderableType:
    """Positions with their stops."""
    return _columns(rows, POSITION_COLUMNS, now)


def actor_table(rows: Sequence[Any], now: datetime) -> RenderableType:
    """Actors, each under its parent."""
    return _columns(_indented(rows), ACTOR_COLUMNS, now)


def _status(result: object, now: datetime) -> RenderableType:
    if not isinstance(result, Mapping):
        return _anything(result, now)
    if not result:
        return Text("done")
    plain = {name: value for name, value in result.items() if not _rows(value)}
    tables = [_titled(str(name), value, now) for name, value in result.items() if _rows(value)]
    return Group(_grid(plain, now), *tables)


def _positions(result: object, now: datetime) -> RenderableType:
    rows = result.get("positions") if isinstance(result, Mapping) else None
    if not isinstance(rows, list):
        return _anything(result, now)
    if not rows:
        return Text("no positions")
    return position_table(rows, now)


def _signals(result: object, now: datetime) -> RenderableType:
    rows = result.get("signals") if isinstance(result, Mapping) else None
    if not isinstance(rows, list):
        return _anything(result, now)
    if not rows:
        return Text("no signals")
    table = _table("received", "action", "symbol", "rank", "id, and what became of it")
    for column in table.columns[:-1]:
        column.no_wrap = True
    for row in rows:
        first = (_cell(row.get(name), now) for name in ("received_at", "recommended_action", "pair_symbol"))
        rank, position = row.get("wave_rank"), row.get("position_id")
        table.add_row(
            *(Text(text) for text in first),
            Text(ABSENT if rank is None else f"{rank} of {row.get('wave_size')}"),
            Text(_cell(row.get("id"), now), style="bold"),
        )
        became = _cell(row.get("why"), now)
        table.add_row("", "", "", "", Text(became if position is None else f"position {position}: {became}"))
    return table


def _alerts(result: object, now: datetime) -> RenderableType:
    """What stands, with its age; then what was told, with what the channels made of it."""
    if not isinstance(result, Mapping) or not isinstance(result.get("standing"), list):
        return _anything(result, now)
    standing, latest = result["standing"], result.get("latest")
    above: RenderableType = Text("nothing stands")
    if standing:
        above = _columns(standing, STANDING_COLUMNS, now)
    parts: list[RenderableType] = [above]
    if isinstance(latest, list) and latest:
        parts += [Text("\nlatest"), _columns([_with_way(row) for row in latest], TOLD_COLUMNS, now)]
    if result.get("database") is not None:
        parts.append(Text(f"\nwhat was told is not known: {printable(str(result['database']))}"))
    return Group(*parts)


def _with_way(row: Any) -> Any:
    """The alert with what each channel did, in a word."""
    channels = row.get("channels") if isinstance(row, Mapping) else None
    if not isinstance(channels, list):
        return row
    words = [
        f"{each.get('channel')}: {'sent' if each.get('sent_at') else each.get('error') or 'waits'}"
        for each in channels
        if isinstance(each, Mapping)
    ]
    return {**row, "way": ", ".join(words) or ("log" if row.get("sent_at") else "waits")}


def _zombies(result: object, now: datetime) -> RenderableType:
    accounts = result.get("accounts") if isinstance(result, Mapping) else None
    found = result.get("zombies") if isinstance(result, Mapping) else None
    if not isinstance(accounts, list) or not isinstance(found, list):
        return _anything(result, now)
    lines = [
        f"{_cell(each.get('account'), now)}: {_cell(each.get('orders'), now)} orders looked at"
        + (f", failed: {_cell(each['error'], now)}" if each.get("error") else "")
        + f"; so far {_words(each.get('totals'), now)}"
        for each in accounts
    ]
    shown = _columns(found, ZOMBIE_COLUMNS, now) if found else Text("no zombie orders")
    return Group(*(Text(line) for line in lines), Text(), shown)


def _actors(result: object, now: datetime) -> RenderableType:
    rows = result.get("actors") if isinstance(result, Mapping) else result
    if not isinstance(rows, list):
        return _anything(result, now)
    if not rows:
        return Text("no actors")
    tree = Group(actor_table(rows, now))
    abandoned = result.get("abandoned_threads") if isinstance(result, Mapping) else None
    if _rows(abandoned):
        tree.renderables.append(_titled("hung threads left behind: fenced, replaced, still there", abandoned, now))
    letters = result.get("dead_letters") if isinstance(result, Mapping) else None
    if isinstance(letters, Mapping) and letters:
        counts = ", ".join(f"{kind} {count}" for kind, count in letters.items())
        tree.renderables.append(Text(f"\nmessages that reached nobody: {counts}"))
    return tree


def _indented(rows: Sequence[Any]) -> list[Any]:
    """Each actor under its parent, a step to the right; `rows` come in this order."""
    depth: dict[object, int] = {}
    shown = []
    for row in rows:
        if not isinstance(row, Mapping):
            shown.append(row)
            continue
        depth[row.get("name")] = level = depth.get(row.get("parent"), -1) + 1
        shown.append({**row, "name": f"{'  ' * level}{row.get('name')}"})
    return shown


def _events(result: object, now: datetime) -> RenderableType:
    rows = result.get("events") if isinstance(result, Mapping) else None
    if not isinstance(rows, list):
        return _anything(result, now)
    if not rows:
        return Text("no events")
    table = _table("time", "severity", "event", "symbol", "position", "what")
    for event in rows:
        severity = str(event.get("severity", "")).upper()
        table.add_row(
            *(Text(_cell(event.get(name), now)) for name in ("ts", "severity", "type", "symbol", "position_id")),
            Text(_words(event.get("data"), now)),
            style=SEVERITY_STYLES.get(severity, ""),
        )
    return table


def _anything(result: object, now: datetime) -> RenderableType:
    if isinstance(result, Mapping):
        return _status(result, now)
    if _rows(result):
        assert isinstance(result, list)  # noqa: S101 - what _rows means
        return _columns(result, tuple((name, name) for name in _names(result)), now)
    return Text(_cell(result, now))


def _titled(name: str, rows: Any, now: datetime) -> RenderableType:
    return Group(Text(f"\n{name}", style="bold"), _columns(rows, tuple((key, key) for key in _names(rows)), now))


def _grid(fields: Mapping[str, Any], now: datetime) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _flat(fields):
        table.add_row(Text(name), Text(_cell(value, now)))
    return table


def _columns(rows: Sequence[Any], columns: Sequence[tuple[str, str]], now: datetime) -> Table:
    shown = [(title, path) for title, path in columns if any(_at(row, path) is not None for row in rows)]
    table = _table(*(title for title, _ in shown))
    for row in rows:
        table.add_row(*(Text(_cell(_at(row, path), now)) for _, path in shown))
    return table


def _table(*titles: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for title in titles:
        table.add_column(Text(title), overflow="fold")
    return table


def _at(row: object, path: str) -> object:
    value = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _rows(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, Mapping) for row in value)


def _names(rows: Iterable[Mapping[str, object]]) -> list[str]:
    return list(dict.fromkeys(str(name) for row in rows for name in row))


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    for name, value in fields.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _words(value: object, now: datetime) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{printable(str(name))}={_cell(item, now)}" for name, item in _flat(value))
    return "" if value is None else _cell(value, now)


def _cell(value: object, now: datetime) -> str:
    match value:
        case None:
            return ABSENT
        case bool():
            return "yes" if value else "no"
        case str():
            return _time(value, now) or printable(value)
        case list():
            return ", ".join(_cell(item, now) for item in value) or ABSENT
        case Mapping():
            return _words(value, now) or ABSENT
    return str(value)


def _time(text: str, now: datetime) -> str | None:
    """A UTC time of the wire in local time, with its date where that is not today."""
    if not (text.endswith("Z") and len(text) >= len("2026-01-01T00:00:00Z") and text[10] == "T"):
        return None
    try:
        moment = datetime.fromisoformat(text).astimezone(now.tzinfo)
    except ValueError:
        return None
    return moment.strftime("%H:%M:%S" if moment.date() == now.date() else "%Y-%m-%d %H:%M:%S")


STANDING_COLUMNS = (
    ("severity", "severity"),
    ("for s", "stands_s"),
    ("text", "text"),
    ("known by", "acknowledged_by"),
    ("id", "id"),
)
TOLD_COLUMNS = (
    ("raised", "raised_at"),
    ("severity", "severity"),
    ("text", "text"),
    ("channels", "way"),
    ("number", "number"),
)

_RENDERERS: Mapping[str, Callable[[object, datetime], RenderableType]] = {
    "status": _status,
    "positions": _positions,
    "alerts": _alerts,
    "actors": _actors,
    "signals": _signals,
    "zombies.scan": _zombies,
    "events": _events,
}
