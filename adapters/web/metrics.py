"""What Prometheus reads: figures of the service under names with the prefix `holdfast_`, and those of its process.

A registry of its own, filled anew at each scrape from what the source says: nothing is counted twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from adapters.web.source import Figure, Spread

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "holdfast_"


def exposition(figures: Iterable[Figure], spreads: Iterable[Spread]) -> bytes:
    """The text of one scrape."""
    registry = CollectorRegistry()
    registry.register(_Once((*map(_plain, figures), *_histograms(spreads))))
    ProcessCollector(registry=registry, namespace=PREFIX.rstrip("_"))
    return generate_latest(registry)


class _Once(Collector):
    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def _plain(figure: Figure) -> Metric:
    names = sorted({name for sample in figure.samples for name in sample.labels})
    made = CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily
    family = made(PREFIX + figure.name, figure.help, labels=names)
    for sample in figure.samples:
        family.add_metric([sample.labels.get(name, "") for name in names], sample.value)
    return family


def _histograms(spreads: Iterable[Spread]) -> Iterator[Metric]:
    families: dict[str, HistogramMetricFamily] = {}
    for spread in spreads:
        names = sorted(spread.labels)
        family = families.get(spread.name)
        if family is None:
            family = families[spread.name] = HistogramMetricFamily(PREFIX + spread.name, spread.help, labels=names)
        reached, buckets = 0, []
        for bound, count in zip((*map(str, spread.bounds_s), "+Inf"), spread.counts, strict=True):
            reached += count
            buckets.append((bound, float(reached)))
        family.add_metric([spread.labels[name] for name in names], buckets, spread.sum_s)
    yield from families.values()
