"""The platform's metrics in Prometheus' format, shared by its processes through files.

Each process writes files of its own in ``PROMETHEUS_MULTIPROC_DIR``; whoever renders adds them up.
A process that died leaves its files, so that what it counted stays counted until the next start of
the platform clears the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from local.errors import StartupError
from traksense.contracts.metrics import METRICS, QUEUE_DEPTH, Metric
from traksense.observability import MetricSink

if TYPE_CHECKING:
    from prometheus_client import Counter, Gauge, Histogram

ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"
BUCKETS_MS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000, 60_000)
_FILE_HEADER_BYTES: Final = 8


def clear(directory: Path) -> None:
    """Forget what the processes of an earlier run counted. For the start of the platform."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in directory.glob("*.db"):
        file.unlink()


def forget_gauges(directory: Path, pid: int) -> None:
    """Drop the gauges of a process that ended; its counters stay."""
    for file in directory.glob(f"gauge_live*_{pid}.db"):
        file.unlink(missing_ok=True)


class PrometheusSink(MetricSink):
    """Counts into the files of this process. Safe to use from several threads."""

    def __init__(self, metrics: Iterable[Metric] = METRICS) -> None:
        """Register the metrics. Raises StartupError where the folder is not set or missing."""
        _directory()
        # prometheus_client chooses its way of counting by the environment when it is imported.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

        registry = CollectorRegistry()
        self._counters: dict[str, Counter] = {}
        self._gauges: dict[str, Gauge] = {}
        self._histograms: dict[str, Histogram] = {}
        for metric in metrics:
            labels = () if metric.label is None else (metric.label,)
            if metric.kind == "counter":
                self._counters[metric.name] = Counter(
                    metric.prometheus, metric.help, labels, registry=registry
                )
            elif metric.kind == "gauge":
                self._gauges[metric.name] = Gauge(
                    metric.prometheus,
                    metric.help,
                    labels,
                    registry=registry,
                    multiprocess_mode="livemostrecent",
                )
            else:
                self._histograms[metric.name] = Histogram(
                    metric.prometheus, metric.help, labels, registry=registry, buckets=BUCKETS_MS
                )

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        """Add to a counter."""
        _labelled(self._counters[metric.name], metric, label).inc(n)

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Set a gauge; of several processes that set it, the last one counts."""
        _labelled(self._gauges[metric.name], metric, label).set(value)

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Put one value into a histogram, in the metric's unit."""
        _labelled(self._histograms[metric.name], metric, label).observe(value)

    def flush(self) -> None:
        """Nothing to do: the files are always up to date."""

    def render(self) -> bytes:
        """What all processes of the run counted, in Prometheus' text format."""
        return render(_directory())

    def queue_depths(self) -> dict[str, int]:
        """Messages waiting, by queue, as the queues' processes last said."""
        families = _collect(_directory())
        found = (family for family in families if family.name == QUEUE_DEPTH.prometheus)
        return {
            sample.labels[str(QUEUE_DEPTH.label)]: int(sample.value)
            for family in found
            for sample in family.samples
        }


def render(directory: Path) -> bytes:
    """What the processes that share a folder counted, in Prometheus' text format."""
    from prometheus_client import CollectorRegistry, generate_latest

    class Collector:
        def collect(self) -> Any:
            return _collect(directory)

    registry = CollectorRegistry()
    registry.register(Collector())
    return generate_latest(registry)


def _collect(directory: Path) -> Any:
    from prometheus_client.multiprocess import MultiProcessCollector

    # A process that is just starting, or was killed while it did, leaves an empty file.
    files = [str(file) for file in directory.glob("*.db") if _size(file) >= _FILE_HEADER_BYTES]
    return MultiProcessCollector.merge(files, accumulate=True)  # type: ignore[no-untyped-call]


def _labelled(collector: Any, metric: Metric, label: str | None) -> Any:
    return collector if metric.label is None else collector.labels(label or "unknown")


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def _directory() -> Path:
    value = os.environ.get(ENVIRONMENT, "")
    directory = Path(value)
    if not value or not directory.is_dir():
        raise StartupError(f"{ENVIRONMENT} must name an existing folder")
    return directory
