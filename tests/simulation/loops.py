"""asyncio in virtual time: an event loop that the scheduler turns, one callback a step.

`SimulatedEventLoop` has the words of `actors.loop.EventLoop`. A function for the executor runs in a fiber of its own.
"""

from __future__ import annotations

import asyncio
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any, Generic, TypeVar

from tests.simulation.scheduler import SECOND, Host, Scheduler
from tests.simulation.threads import SimulatedEvent

T = TypeVar("T")
FINISHED_TASKS_KEPT = 64
GOODBYE_S = 1.0


class TurnedLoop(asyncio.AbstractEventLoop):
    """The loop itself. What a callback raises is kept in `faults`: nothing of ours may let an exception fall."""

    def __init__(self, scheduler: Scheduler, host: Host, name: str) -> None:
        self.host = host
        self.name = name
        self.queued = False
        self.faults: list[str] = []
        self._scheduler = scheduler
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: list[asyncio.Task[Any]] = []
        self._closed = False

    def run(self) -> None:
        """One callback, as `Runnable`."""
        handle = self._ready.popleft()
        if not handle.cancelled():
            events._set_running_loop(self)
            try:
                handle._run()
            finally:
                events._set_running_loop(None)
        if self._ready:
            self._scheduler.wake(self)

    # What asyncio asks of a loop.

    def time(self) -> float:
        return self._scheduler.now / SECOND

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return not self._closed

    def is_closed(self) -> bool:
        return self._closed

    def stop(self) -> None:
        self._closed = True
        self._ready.clear()

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._push(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        if self._closed:
            raise RuntimeError("Event loop is closed")
        return self.call_soon(callback, *args, context=context)

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        # A moment passes before any timer fires: whoever waits for a time that rounds to now would wait for ever.
        self._scheduler.after(max(delay, 1 / SECOND), lambda: self._push(handle), self.host)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        if len(self._tasks) > FINISHED_TASKS_KEPT:
            self._tasks = self.unfinished()
        return task

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        future: asyncio.Future[T] = self.create_future()

        def resolve(value: Any, error: Exception | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(value)

        def work() -> None:
            try:
                value = func(*args)
            except Exception as error:
                self.call_soon(resolve, None, error)
            else:
                self.call_soon(resolve, value, None)

        self._scheduler.spawn(self.host, work, f"executor of {self.name}")
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.host.alive and not self._closed:
            self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to count: a cancelled handle is passed over when its time comes."""

    def unfinished(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended, oldest first."""
        return [task for task in self._tasks if not task.done()]

    def _push(self, handle: asyncio.Handle) -> None:
        if not self._closed and not handle.cancelled():
            self._ready.append(handle)
            self._scheduler.wake(self)


class Outcome(Generic[T]):
    """What `submit` returns: the coroutine's end, to be waited for by a fiber."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._ended = SimulatedEvent(scheduler)
        self._task: asyncio.Task[T] | None = None

    def began(self, task: asyncio.Task[T]) -> None:
        """The coroutine runs."""
        self._task = task
        task.add_done_callback(lambda _: self._ended.set())

    def result(self, timeout: float | None = None) -> T:
        """Its value, or what it raised. Raises TimeoutError."""
        if not self._ended.wait(timeout) or self._task is None:
            raise TimeoutError(f"no result within {timeout} s")
        return self._task.result()


class SimulatedEventLoop:
    """`actors.loop.EventLoop`, turned by the scheduler."""

    def __init__(self, scheduler: Scheduler, host: Host, name: str) -> None:
        # A loop without sockets, signals and subprocesses: whoever asks for these gets NotImplementedError.
        self.loop = TurnedLoop(scheduler, host, name)  # type: ignore[abstract]
        self._scheduler = scheduler
        self._closed = False
        self._last: Callable[[], Coroutine[Any, Any, object]] | None = None
        self._ended = SimulatedEvent(scheduler)

    def start(self) -> None:
        """Nothing to do: it turns as soon as there is work."""

    def submit(self, work: Coroutine[Any, Any, T]) -> Outcome[T]:
        """Run a coroutine on the loop."""
        outcome: Outcome[T] = Outcome(self._scheduler)
        self.loop.call_soon_threadsafe(lambda: outcome.began(self.loop.create_task(work)))
        return outcome

    def call(self, function: Callable[..., object], *arguments: object) -> bool:
        """Call a plain function on the loop, soon; False if the loop is closed."""
        if self.loop.is_closed():
            return False
        self.loop.call_soon(function, *arguments)
        return True

    def close(self, seconds: float = 2.0, last: Callable[[], Coroutine[Any, Any, object]] | None = None) -> bool:
        """Cancel everything on the loop, run `last` on it and end it; False if it was not done in time."""
        if not self._closed:
            self._closed, self._last = True, last
            self.call(self._cancel_all)
        if self._scheduler.current is not None and seconds > 0:
            self._ended.wait(seconds)
        return self.loop.is_closed()

    def _cancel_all(self) -> None:
        tasks = self.loop.unfinished()
        for task in tasks:
            task.cancel()
        self.loop.create_task(self._stop_after(tasks))

    async def _stop_after(self, tasks: list[asyncio.Task[Any]]) -> None:
        if tasks:
            await asyncio.wait(tasks, timeout=GOODBYE_S)
        try:
            if self._last is not None:
                async with asyncio.timeout(GOODBYE_S):
                    await self._last()
        except Exception as error:
            self.loop.faults.append(f"at the end of {self.loop.name}: {error!r}")
        self.loop.stop()
        self._ended.set()
