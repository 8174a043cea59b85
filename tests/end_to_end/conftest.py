"""Services for the end-to-end tests. Starting one takes seconds: tests share where they can."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.end_to_end.agreement import differences
from tests.end_to_end.service import ServiceProcess, running
from tests.end_to_end.signal_source import SignalSource


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "end_to_end" in item.path.parts:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(120))


@pytest.fixture(scope="session")
def source() -> Iterator[SignalSource]:
    """The signal source of `shared`."""
    with SignalSource() as started:
        yield started


@pytest.fixture(scope="session")
def shared_service(source: SignalSource, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    """One service in a quiet market for every test that keeps to a symbol of its own."""
    with running(tmp_path_factory.mktemp("shared"), {"signals": {"url": source.url}}) as service:
        service.wait_price("BTCUSDT")
        yield service


@pytest.fixture
def shared(shared_service: ServiceProcess) -> Iterator[ServiceProcess]:
    """`shared_service`; when the test is over no law is broken and the database agrees with the exchange."""
    yield shared_service
    judge(shared_service)


def judge(service: ServiceProcess) -> None:
    """No law is broken, and the database comes to agree with the timeline once it is written up."""

    def disagreement() -> list[str]:
        return differences(service.state_dir, service.verdict(), same_ids=not service.bybit)

    service.wait_for(lambda: not disagreement() or None, 30, f"agreement, still: {disagreement()}")
    service.assert_lawful()
