"""A database on the tests' own server for a service to stand on, which can be taken away."""

from __future__ import annotations

from urllib.parse import urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from persistence.embedded import EmbeddedPostgres


class Ground:
    """The database `name`; `url` is what the settings want."""

    def __init__(self, server: EmbeddedPostgres, name: str) -> None:
        self._admin = server.admin_conninfo
        self._name = name
        parts = {key: value for key, value in conninfo_to_dict(server.conninfo).items() if key != "dbname"}
        self.url = f"postgresql:///{name}?{urlencode(parts)}"
        self._do(f"CREATE DATABASE {name} OWNER holdfast")

    def away(self) -> None:
        """Connections are ended and new ones refused."""
        self._do(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS false")
        self._do(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self._name}'")

    def back(self) -> None:
        """As it was."""
        self._do(f"ALTER DATABASE {self._name} ALLOW_CONNECTIONS true")

    def drop(self) -> None:
        """Leave nothing."""
        self._do(f"DROP DATABASE {self._name} WITH (FORCE)")

    def _do(self, statement: str) -> None:
        with psycopg.connect(self._admin, autocommit=True) as conn:
            conn.execute(statement.encode())
