"""A real embedded server for the session, and a freshly migrated database for each test."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from persistence.database import migrate
from persistence.embedded import EmbeddedPostgres
from persistence.partitions import ensure_partitions
from persistence.reader import Reader
from persistence.writer import Writer
from tests.persistence.samples import NOON

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that may lose data when the machine loses power: it lives for the tests only, in memory if it can."""
    relaxed = {"fsync": "off", "full_page_writes": "off"}
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="holdfast-tests-", dir=memory) as state:
        embedded = EmbeddedPostgres(Path(state) / "pg", server_settings=relaxed)
        embedded.start()
        yield embedded
        embedded.stop()


@pytest.fixture(scope="session")
def template(server: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    _admin(server, "CREATE DATABASE template_holdfast OWNER holdfast")
    conninfo = make_conninfo(server.conninfo, dbname="template_holdfast")
    migrate(conninfo)
    ensure_partitions(conninfo, NOON)
    return "template_holdfast"


@pytest.fixture
def empty_database(server: EmbeddedPostgres) -> Iterator[str]:
    """Conninfo of a database without our schema."""
    yield from _database(server, "template0")


@pytest.fixture
def database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    """Conninfo of a migrated database of this test's own."""
    yield from _database(server, template)


@pytest.fixture
def writer(database: str) -> Iterator[Writer]:
    """A writer on this test's database."""
    writer = Writer(database)
    yield writer
    writer.close()


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    """A reader on this test's database."""
    reader = Reader(database)
    yield reader
    reader.close()


@pytest.fixture
def rows(database: str) -> Iterator[Query]:
    """Ask this test's database by SQL."""
    with psycopg.connect(database, autocommit=True) as conn:
        yield Query(conn)


class Query:
    """Rows of a query as dicts, as a stranger with SQL would see them."""

    def __init__(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        self._conn = conn

    def __call__(self, query: str, *parameters: object) -> list[dict[str, object]]:
        with self._conn.cursor(row_factory=psycopg.rows.dict_row) as cursor:
            return cursor.execute(query.encode(), parameters).fetchall()

    def execute(self, statement: str) -> None:
        """What a human does by hand."""
        self._conn.execute(statement.encode())

    def one(self, query: str, *parameters: object) -> dict[str, object]:
        (row,) = self(query, *parameters)
        return row


def _database(server: EmbeddedPostgres, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _admin(server, f"CREATE DATABASE {name} OWNER holdfast TEMPLATE {template} STRATEGY file_copy")
    yield make_conninfo(server.conninfo, dbname=name)
    server.ensure()
    _admin(server, f"DROP DATABASE {name} WITH (FORCE)")


def _admin(server: EmbeddedPostgres, statement: str) -> None:
    with psycopg.connect(server.admin_conninfo, autocommit=True) as conn:
        conn.execute(statement.encode())


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """A state directory as the service makes it: only its owner may enter."""
    path = tmp_path / "state"
    path.mkdir(mode=0o700)
    return path
