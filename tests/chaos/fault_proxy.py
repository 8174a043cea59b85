"""The fault proxy: a program between service and exchanges that does to the wire whatever `wire_faults` lists.

    python -m tests.chaos.fault_proxy --announce FILE --seed N --route NAME=HOST:PORT [--route …]

It listens on a free port of 127.0.0.1 for each route and on one for control, and writes {"control": port, "routes":
{NAME: port}} into FILE. Control is JSON, one object a line, answered by one: {"do": "order", …} (see `wire_faults`),
{"do": "heal"} calls off and lifts everything, {"do": "strikes", "since": n} lists what struck. It ends with its
standard input, so that it never outlives the test that started it.

Rules of this file: a request is read whole before anything is done to it, so that a fault befalls one request and not
its neighbours; what is passed on is passed on byte for byte; every strike is noted before it has an effect.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import struct
import sys
from asyncio import StreamReader as Reader
from asyncio import StreamWriter as Writer
from collections.abc import Coroutine
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.http_messages import MOST_HEAD, BadMessage, Message, read_message, reply
from tests.chaos.wire_faults import BadOrder, Strike, What, WireFault, WirePlan, now_ms

HOST = "127.0.0.1"
CHUNK = 64 << 10
PIECES = 10
REOPEN_EVERY_S = 0.05
NO_TEXT = b"\x81\x04\xff\xfe\xff\xfe"
"""A text frame that is no text."""


class Reset(Exception):
    """This connection is to be reset."""


@dataclass(slots=True, kw_only=True, eq=False)
class Line:
    """One route: where it listens, where it leads, who is connected, what is cut until when (ms of wall time)."""

    name: str
    host: str
    port: int
    listens: int = 0
    server: asyncio.Server | None = None
    clients: set[Writer] = field(default_factory=set)
    streams: set[Writer] = field(default_factory=set)
    cut: dict[What, int] = field(default_factory=dict)

    def is_cut(self, what: What) -> bool:
        """Whether this fault of the line lasts."""
        return now_ms() < self.cut.get(what, 0)


class FaultProxy:
    """All routes, and the plan of what becomes of what passes."""

    def __init__(self, lines: list[Line], seed: int) -> None:
        self.plan = WirePlan(seed)
        self._lines = {line.name: line for line in lines}
        self._tasks: set[asyncio.Task[None]] = set()
        self._healed = asyncio.Event()

    async def start(self) -> dict[str, Any]:
        """Listen; returns the announcement."""
        for line in self._lines.values():
            await self._listen(line)
        control = await asyncio.start_server(self._control, HOST, 0, limit=MOST_HEAD)
        routes = {line.name: line.listens for line in self._lines.values()}
        return {"control": control.sockets[0].getsockname()[1], "routes": routes}

    async def _listen(self, line: Line) -> None:
        line.server = await asyncio.start_server(
            lambda reader, writer: self._client(line, reader, writer), HOST, line.listens, limit=MOST_HEAD
        )
        line.listens = line.server.sockets[0].getsockname()[1]

    # What passes.

    async def _client(self, line: Line, reader: Reader, writer: Writer) -> None:
        line.clients.add(writer)
        try:
            while (message := await read_message(reader)) is not None:
                if message.upgrades:
                    await self._stream(line, message, reader, writer)
                    return
                await self._request(line, message, reader, writer)
        except (Reset, BadMessage, OSError):
            _reset(writer)
        finally:
            line.clients.discard(writer)
            _close(writer)

    async def _request(self, line: Line, message: Message, reader: Reader, writer: Writer) -> None:
        if line.is_cut(What.CUT_REST):
            raise Reset
        symbol = message.values().get("symbol", "")
        fault = self.plan.strike(line.name, message.method, message.path, symbol)
        if fault is None:
            writer.write((await self._ask(line, message)).raw)
            await writer.drain()
            return
        struck = self.plan.note(fault, message.method, message.path, symbol)
        try:
            await self._befall(line, fault, message, reader, writer)
        finally:
            struck.until = now_ms()

    async def _befall(self, line: Line, fault: WireFault, message: Message, reader: Reader, writer: Writer) -> None:
        what = fault.what
        if what is What.LOSE:
            raise Reset
        if what is What.BLACKHOLE:
            await self._hold(reader)
        if what is What.BALANCER and not fault.acted:
            await _balancer(fault, writer)
        if what is What.DELAY:
            await asyncio.sleep(fault.before_ms / 1000)
        answer = await self._ask(line, message)
        if what is What.TWICE:
            answer = await self._ask(line, message)
        if what is What.SWALLOW:
            raise Reset
        if what is What.MUTE:
            await self._hold(reader)
        if what is What.BALANCER:
            await _balancer(fault, writer)
        if what is What.DELAY:
            await asyncio.sleep(fault.after_ms / 1000)
        await _give(what, fault, answer, writer)

    async def _hold(self, reader: Reader) -> None:
        """Say nothing until the client goes away, or everything is healed. Raises Reset."""
        healed = asyncio.ensure_future(self._healed.wait())
        gone = asyncio.ensure_future(reader.read(CHUNK))
        await asyncio.wait((healed, gone), return_when=asyncio.FIRST_COMPLETED)
        healed.cancel()
        gone.cancel()
        raise Reset

    async def _ask(self, line: Line, message: Message) -> Message:
        """The exchange's reply. Raises Reset when there is none."""
        try:
            reader, writer = await asyncio.open_connection(line.host, line.port, limit=MOST_HEAD)
        except OSError as refused:
            raise Reset from refused
        try:
            writer.write(message.raw)
            await writer.drain()
            answer = await read_message(reader, answers=message.method)
        except (BadMessage, OSError) as broken:
            raise Reset from broken
        finally:
            writer.close()
        if answer is None:
            raise Reset
        return answer

    async def _stream(self, line: Line, message: Message, reader: Reader, writer: Writer) -> None:
        if line.is_cut(What.CUT_STREAMS):
            raise Reset
        try:
            up_reader, up_writer = await asyncio.open_connection(line.host, line.port, limit=MOST_HEAD)
        except OSError as refused:
            raise Reset from refused
        line.streams.add(writer)
        up_writer.write(message.raw)
        pumps = [
            asyncio.ensure_future(self._pump(line, reader, up_writer)),
            asyncio.ensure_future(self._pump(line, up_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            line.streams.discard(writer)
            for pump in pumps:
                pump.cancel()
            _close(up_writer)

    async def _pump(self, line: Line, reader: Reader, writer: Writer) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK):
                await self._over(line, What.FREEZE_STREAMS)
                writer.write(data)
                await writer.drain()

    async def _over(self, line: Line, what: What) -> None:
        """Wait until a fault of the line is over, or healed."""
        left_ms = line.cut.get(what, 0) - now_ms()
        if left_ms > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._healed.wait(), left_ms / 1000)

    # What is done to a line.

    def order(self, asked: dict[str, Any]) -> WireFault:
        """Take an order. Raises BadOrder."""
        fault = self.plan.order(asked, frozenset(self._lines))
        if fault.what.of_line:
            line = self._lines[fault.route]
            struck = self.plan.note(fault)
            struck.until = fault.until or struck.at
            line.cut[fault.what] = struck.until
            self._cut(line, fault, struck)
        return fault

    def _cut(self, line: Line, fault: WireFault, struck: Strike) -> None:
        if fault.what is What.GARBLE_STREAMS:
            for writer in line.streams:
                writer.write(NO_TEXT)
            return
        if fault.what in (What.REFUSE, What.CUT_STREAMS):
            for writer in list(line.streams):
                _reset(writer)
        if fault.what in (What.REFUSE, What.CUT_REST):
            for writer in list(line.clients - line.streams):
                _reset(writer)
        if fault.what is What.REFUSE and line.server is not None:
            line.server.close()
            line.server = None
            self._keep(self._open_again(line, struck))

    async def _open_again(self, line: Line, struck: Strike) -> None:
        await self._over(line, What.REFUSE)
        while line.server is None:
            try:
                await self._listen(line)
            except OSError:
                await asyncio.sleep(REOPEN_EVERY_S)
        struck.until = now_ms()

    def heal(self) -> int:
        """Call off and lift everything; returns how many faults waited."""
        now = now_ms()
        for line in self._lines.values():
            for struck in self.plan.strikes:
                if struck.route == line.name and struck.what in line.cut:
                    struck.until = min(struck.until, now)
            line.cut.clear()
        self._healed.set()
        self._healed = asyncio.Event()
        return self.plan.clear()

    def _keep(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # Control.

    async def _control(self, reader: Reader, writer: Writer) -> None:
        while text := await reader.readline():
            try:
                said: dict[str, Any] = {"ok": True, **self._answer(json.loads(text))}
            except (BadOrder, ValueError) as refused:
                said = {"ok": False, "error": str(refused)}
            writer.write(json.dumps(said).encode() + b"\n")
            await writer.drain()
        writer.close()

    def _answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        match asked.get("do"):
            case "order":
                return {"fault": self.order(asked).number}
            case "heal":
                return {"waited": self.heal()}
            case "strikes":
                return {"strikes": [asdict(strike) for strike in self.plan.strikes[int(asked.get("since", 0)) :]]}
            case other:
                raise BadOrder(f"do={other!r}: must be order, heal or strikes")


async def _give(what: What, fault: WireFault, answer: Message, writer: Writer) -> None:
    raw = answer.raw
    if what is What.BREAK_OFF:
        writer.write(raw[: len(answer.head) + len(answer.body) // 2])
        await writer.drain()
        raise Reset
    if what is What.GARBLE:
        raw = reply(answer.status, answer.body[: len(answer.body) // 2], content_type="application/json")
    pieces = PIECES if what is What.DRIP else 1
    size = -(-len(raw) // pieces)
    for begin in range(0, len(raw), size):
        if what is What.DRIP:
            await asyncio.sleep(fault.ms / 1000 / pieces)
        writer.write(raw[begin : begin + size])
        await writer.drain()
    if what is What.GARBLE:
        writer.close()


async def _balancer(fault: WireFault, writer: Writer) -> None:
    """A page of the load balancer's, then the connection ends. Raises Reset."""
    headers = {} if fault.retry_after_s is None else {"Retry-After": str(fault.retry_after_s)}
    page = f"<html><body><h1>{fault.status}</h1>the upstream is not well</body></html>".encode()
    writer.write(reply(fault.status, page, headers=headers))
    await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    raise Reset


def _reset(writer: Writer) -> None:
    """End a connection with a reset: nothing that was written and not yet sent arrives."""
    raw = writer.get_extra_info("socket")
    if raw is not None and raw.fileno() >= 0:
        with contextlib.suppress(OSError):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def _close(writer: Writer) -> None:
    with contextlib.suppress(OSError, RuntimeError):
        writer.close()


async def _run(lines: list[Line], seed: int, announce: Path) -> None:
    proxy = FaultProxy(lines, seed)
    told = json.dumps(await proxy.start())
    fresh = announce.with_suffix(".new")
    fresh.write_text(told)
    fresh.replace(announce)
    await asyncio.to_thread(sys.stdin.read)


def main() -> None:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fault_proxy")
    parser.add_argument("--announce", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--route", action="append", required=True, metavar="NAME=HOST:PORT")
    given = parser.parse_args()
    lines = []
    for text in given.route:
        name, _, address = text.partition("=")
        host, _, port = address.rpartition(":")
        lines.append(Line(name=name, host=host, port=int(port)))
    asyncio.run(_run(lines, given.seed, given.announce))


if __name__ == "__main__":
    main()
