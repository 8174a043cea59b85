"""The control socket of the running service under clients that send rubbish, or nothing, or do not read."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import time

import psutil

from tests.end_to_end.service import ServiceProcess

MEGABYTE = 1 << 20
SECONDS = 3.0
NOISE = (
    b"\n",
    b"{}\n",
    b"not json\n",
    b"[" * 4000 + b"\n",
    b'[{"jsonrpc":"2.0","id":1,"method":"status"},{"jsonrpc":"2.0","id":2,"method":"status"}]\n',
    b"\x00\xff\xfe" * 300 + b"\n",
    b'{"jsonrpc":"2.0","id":{},"method":"status"}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"positions","params":{"symbol":"' + b"A" * 5000 + b'"}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"limit":1e400}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"limit":1000}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"position.close","params":{"id":-1}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"position.open","params":{"symbol":"BTCUSDT","side":"long","usd":"1e99"}}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"__class__"}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"events.follow"}\n',
    b'{"jsonrpc":"2.0","id":1,"meth',
    b"y" * MEGABYTE,
)


def connect(service: ServiceProcess) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(5)
    connection.connect(str(service.state_dir / "admin.sock"))
    return connection


def test_rubbish_costs_whoever_sends_it(shared: ServiceProcess) -> None:
    chosen = random.Random(7)
    process = psutil.Process(shared.pid)
    before, threads = process.memory_info().rss, process.num_threads()
    deaf = [connect(shared) for _ in range(4)]
    for connection in deaf:  # asks for much and reads nothing
        connection.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(200):
                connection.send(b'{"jsonrpc":"2.0","id":1,"method":"events","params":{"limit":1000}}\n')
    rude = [connect(shared) for _ in range(20)]
    slowest, until = 0.0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        for place, connection in enumerate(rude):
            noise = chosen.choice(NOISE)
            connection.setblocking(False)
            try:
                connection.send(noise[: chosen.randrange(1, len(noise) + 1)])
                if chosen.random() < 0.5:
                    connection.recv(chosen.randrange(1, 5000))
                if chosen.random() < 0.1:
                    raise OSError("goes in the middle of it")
            except OSError:
                connection.close()
                rude[place] = connect(shared)
        begun = time.monotonic()
        assert shared.ctl("status")["mode"] == "paper"
        slowest = max(slowest, time.monotonic() - begun)
    for connection in (*deaf, *rude):
        connection.close()
    assert slowest < 5, "others are served meanwhile"
    assert process.memory_info().rss - before < 200 * MEGABYTE
    shared.wait_for(lambda: process.num_threads() <= threads + 20 or None, 30, "the calls to be over")
    assert json.loads(shared.main("ctl", "positions", "--json").stdout)["positions"] is not None
    admin = next(a for a in shared.ctl("actors")["actors"] if a["name"] == "admin")
    assert (admin["state"], admin["restarts"]) == ("RUNNING", 0)
