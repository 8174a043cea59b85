"""The control socket's server: one thread with its own event loop, calls carried out on threads beside it.

Rules of this file: whatever a client sends, or stops sending, costs that client only; a call may block without holding
up another; nobody but the service's own user and root is heard; a reply under way is delivered before the server stops.
"""

import asyncio
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from loguru import logger

from adapters.admin.listening import SocketRefused, identity, listen
from adapters.admin.protocol import (
    INTERNAL_ERROR,
    INVALID_REQUEST,
    MAX_LINE_BYTES,
    NOT_NOW,
    AdminError,
    BadRequest,
    Caller,
    Request,
    error_line,
    notification_line,
    parse_request,
    result_line,
)

# A call by method, parameters and caller. May block. Raises AdminError for an answer that is an error. A result that is
# an iterator is streamed as notifications until it ends or the client hangs up; it yields None now and then when it has
# nothing to say, so that a client that has gone is noticed.
Dispatch = Callable[[str, dict[str, object], Caller], object]

READ_BYTES = 1 << 16
# A line that is too long is read to its end to be answered; beyond this its sender is cut off.
MAX_DISCARDED_BYTES = 16 * MAX_LINE_BYTES
_END = object()


class AdminServer:
    """Listens at `path` from start() to stop().

    `workers` calls run at one time, others wait their turn. A client that does not read its replies for
    `slow_reader_s`, or says nothing for `idle_s`, is cut off; where all places are taken, after `spare_idle_s` already.
    """

    def __init__(
        self,
        path: Path,
        dispatch: Dispatch,
        *,
        max_clients: int = 64,
        workers: int = 16,
        slow_reader_s: float = 10.0,
        idle_s: float = 600.0,
        spare_idle_s: float = 30.0,
    ) -> None:
        self.path = path
        self._dispatch = dispatch
        self._max_clients = max_clients
        self._slow_reader_s = slow_reader_s
        self._idle_s = idle_s
        self._spare_idle_s = spare_idle_s
        self._turns = asyncio.Semaphore(workers)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._opened: tuple[int, int] | None = None
        self._stopping: asyncio.Event | None = None
        self._clients: dict[asyncio.Task[None], _Connection] = {}
        self._drain_s = 2.0

    def start(self) -> None:
        """Opens the socket in the caller's thread, then serves on its own. Raises SocketRefused."""
        if self._thread is not None:
            raise SocketRefused(f"{self.path}: already started")
        listener = listen(self.path)
        self._opened = identity(self.path)
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listener, self._opened, ready), name="admin-socket", daemon=True
        )
        self._thread.start()
        ready.wait()

    def stop(self, drain_s: float = 2.0) -> None:
        """Takes no more calls, waits at most `drain_s` for those under way, removes the socket. Twice is harmless."""
        thread, loop, stopping = self._thread, self._loop, self._stopping
        if thread is None or loop is None or stopping is None:
            return
        self._drain_s = drain_s
        try:
            loop.call_soon_threadsafe(stopping.set)
        except RuntimeError:
            logger.debug("ADMIN_SOCKET already closed path={}", self.path)
        thread.join(drain_s + 5.0)
        self._thread = None

    @property
    def serving(self) -> bool:
        """Whether the socket's thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def reachable(self) -> bool:
        """Whether it serves, and whoever connects to its path finds it: a file can be removed under a listener."""
        return self.serving and self._opened is not None and identity(self.path) == self._opened

    def _run(self, listener: socket.socket, opened: tuple[int, int] | None, ready: threading.Event) -> None:
        try:
            asyncio.run(self._serve(listener, ready))
        finally:
            ready.set()
            if opened is not None and identity(self.path) == opened:
                self.path.unlink(missing_ok=True)

    async def _serve(self, listener: socket.socket, ready: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        server = await asyncio.start_unix_server(self._client, sock=listener, limit=MAX_LINE_BYTES)
        ready.set()
        await self._stopping.wait()
        server.close()
        for connection in self._clients.values():
            connection.stop_if_idle()
        if self._clients:
            await asyncio.wait(self._clients, timeout=self._drain_s)
        for task in self._clients:
            task.cancel()
        if self._clients:
            await asyncio.wait(self._clients, timeout=self._drain_s)

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None and self._stopping is not None  # noqa: S101, PT018 - runs as a task, after _serve began
        connection = _Connection(reader, writer, task, self._slow_reader_s)
        try:
            caller = _caller(writer)
            if caller.uid not in (os.geteuid(), 0):
                logger.warning("ADMIN_REFUSED uid={} pid={} error=not the service's user", caller.uid, caller.pid)
                return
            if len(self._clients) >= self._max_clients and not self._make_room():
                full = AdminError(NOT_NOW, f"{self._max_clients} connections are open, no more are taken")
                await connection.send(error_line(None, full))
                return
            self._clients[task] = connection
            while not self._stopping.is_set() and await self._exchange(connection, caller):
                pass
        except (OSError, TimeoutError) as error:
            logger.debug("ADMIN_CLIENT_LOST error={}", repr(error))
        except asyncio.CancelledError:
            logger.debug("ADMIN_CLIENT_CUT path={}", self.path)
        finally:
            self._clients.pop(task, None)
            writer.transport.abort() if connection.unsent else writer.close()

    def _make_room(self) -> bool:
        """Let go of whoever has said nothing for the longest time, if that is long enough; whether there was one."""
        idle = [connection for connection in self._clients.values() if connection.idle_for() >= self._spare_idle_s]
        if not idle:
            return False
        max(idle, key=_Connection.idle_for).stop_if_idle()
        return True

    async def _exchange(self, connection: "_Connection", caller: Caller) -> bool:
        """One request and its answer; False when the client has hung up."""
        connection.idle_since = time.monotonic()
        try:
            line = await asyncio.wait_for(connection.line(), self._idle_s)
        except BadRequest as error:
            await connection.send(error_line(None, error))
            return True
        finally:
            connection.idle_since = None
        if line is None:
            return False
        if not line.strip():
            return True
        try:
            request = parse_request(line)
        except BadRequest as error:
            await connection.send(error_line(error.request_id, error))
            return True
        return await self._answer(connection, request, caller)

    async def _answer(self, connection: "_Connection", request: Request, caller: Caller) -> bool:
        try:
            async with self._turns:
                result = await _on_thread(
                    lambda: self._dispatch(request.method, request.params, caller), request.method
                )
            if isinstance(result, Iterator):
                await self._stream(connection, request, result)
                return False
            reply = result_line(request.id, result)
        except AdminError as error:
            reply = _error_reply(request, error)
        except (OSError, TimeoutError) as error:
            if connection.gone:
                raise
            reply = _internal(request, error)
        except Exception as error:  # noqa: BLE001 - the boundary: answered, recorded, and the server lives on
            reply = _internal(request, error)
        if not request.notification:
            await connection.send(reply)
        return True

    async def _stream(self, connection: "_Connection", request: Request, items: Iterator[object]) -> None:
        """Items as notifications, until they end, the client hangs up, or the server stops."""
        assert self._stopping is not None  # noqa: S101 - set before the first client
        await connection.send(result_line(request.id, {"following": request.method}))
        hung_up = asyncio.ensure_future(connection.hang_up())
        waiting = False
        try:
            while not hung_up.done() and not self._stopping.is_set():
                waiting = True
                item = await _on_thread(lambda: next(items, _END), request.method)
                waiting = False
                if item is _END:
                    break
                if item is not None:
                    await connection.send(notification_line(request.method, item))
        finally:
            hung_up.cancel()
            close = getattr(items, "close", None)
            if close is not None and not waiting:  # one that is waited for cannot be closed: it ends with its thread
                await _on_thread(close, request.method)


class _Connection:
    """One client's two directions."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        task: "asyncio.Task[None]",
        slow_reader_s: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=0)  # so that a sent line is one that has left
        self._task = task
        self._slow_reader_s = slow_reader_s
        self.idle_since: float | None = None
        self.unsent = False

    @property
    def gone(self) -> bool:
        return self._writer.transport.is_closing()

    def idle_for(self) -> float:
        """For how long its next request has been waited for (s); below 0 while it is being answered."""
        return -1.0 if self.idle_since is None else time.monotonic() - self.idle_since

    def stop_if_idle(self) -> None:
        if self.idle_since is not None:
            self._task.cancel()

    async def line(self) -> bytes | None:
        """The next whole line; None when the client has hung up, be it in the middle of one. Raises BadRequest."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            if not await self._discard():
                return None
            raise BadRequest(INVALID_REQUEST, f"a line may have {MAX_LINE_BYTES} bytes") from None

    async def _discard(self) -> bool:
        discarded = 0
        while discarded <= MAX_DISCARDED_BYTES:
            try:
                await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as error:
                discarded += len(await self._reader.readexactly(error.consumed))
            except asyncio.IncompleteReadError:
                return False
            else:
                return True
        return False

    async def hang_up(self) -> None:
        """Returns when the client has closed its end; what it says meanwhile is not heard."""
        while await self._reader.read(READ_BYTES):
            pass

    async def send(self, line: bytes) -> None:
        """Raises TimeoutError when the client does not take it in time."""
        self.unsent = True
        self._writer.write(line)
        await asyncio.wait_for(self._writer.drain(), self._slow_reader_s)
        self.unsent = False


async def _on_thread(call: Callable[[], object], name: str) -> object:
    """The call's result, from a thread of its own: a daemon, since a call that never returns must not hold the exit."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[object] = loop.create_future()

    def settle(result: object, error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(result)
        else:
            outcome.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = call()
        except Exception as raised:  # noqa: BLE001 - handed on to the awaiting side, which classifies it
            error = raised
        except BaseException as raised:  # noqa: BLE001 - SystemExit and its like must not end a thread unheard
            error = RuntimeError(f"{type(raised).__name__}: {raised}")
            error.__cause__ = raised
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            logger.warning("ADMIN_REPLY_LOST method={} error=the control socket closed meanwhile", name)

    threading.Thread(target=work, name=f"admin-call-{name[:40]}", daemon=True).start()
    return await outcome


def _caller(writer: asyncio.StreamWriter) -> Caller:
    peer: socket.socket = writer.get_extra_info("socket")
    fields = struct.Struct("3i")
    pid, uid, _ = fields.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, fields.size))
    return Caller(uid=uid, pid=pid)


def _error_reply(request: Request, error: AdminError) -> bytes:
    try:
        return error_line(request.id, error)
    except (TypeError, ValueError) as unserialisable:
        return _internal(request, unserialisable)


def _internal(request: Request, error: Exception) -> bytes:
    """What went wrong goes to the log whole; the client learns its kind, since the text might hold anything."""
    logger.opt(exception=error).error("ADMIN_FAILED method={} error={}", request.method, type(error).__name__)
    told = AdminError(INTERNAL_ERROR, f"{request.method} failed inside: {type(error).__name__}; the log has it whole")
    return error_line(request.id, told)
