"""A blocking client of the control socket, for `ctl` and for tests."""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from adapters.admin.protocol import AdminError, request_line

DEFAULT_TIMEOUT_S = 60.0


class NoService(Exception):
    """Nobody answers at the socket: not running, or gone in the middle."""


class NotPermitted(Exception):
    """The socket belongs to another user."""


class AdminClient:
    """One connection. Not for several threads at once."""

    def __init__(self, path: Path, *, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        """Raises NoService or NotPermitted."""
        self._path = path
        self._count = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout_s)
        try:
            self._socket.connect(str(path))
        except PermissionError as error:
            self._socket.close()
            raise NotPermitted(f"{path}: belongs to another user") from error
        except OSError as error:  # also 'AF_UNIX path too long', at which no service can be listening
            self._socket.close()
            raise NoService(f"no service is running at {path} ({error.strerror or error})") from error
        self._lines = self._socket.makefile("rb")

    def call(self, method: str, params: Mapping[str, object] | None = None) -> Any:
        """The result. Raises AdminError for an answer that is an error, NoService, TimeoutError."""
        self._count += 1
        self._send(request_line(method, params or {}, self._count))
        message = self._receive()
        error = message.get("error")
        if error is not None:
            raise AdminError(int(error["code"]), str(error["message"]), error.get("data"))
        return message["result"]

    def follow(self, method: str, params: Mapping[str, object] | None = None) -> Iterator[Any]:
        """The notifications that follow a call, until the service ends them or goes away; silence is no time-out."""
        self.call(method, params)
        self._socket.settimeout(None)
        while True:
            try:
                yield self._receive()["params"]
            except NoService:
                return

    def close(self) -> None:
        self._lines.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, line: bytes) -> None:
        try:
            self._socket.sendall(line)
        except TimeoutError:
            raise
        except OSError as error:
            raise NoService(f"the service at {self._path} hung up ({error.strerror})") from error

    def _receive(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise
        except OSError as error:
            raise NoService(f"the service at {self._path} hung up ({error.strerror})") from error
        if not line.endswith(b"\n"):
            raise NoService(f"the service at {self._path} hung up before it answered")
        message: dict[str, Any] = json.loads(line)
        return message
