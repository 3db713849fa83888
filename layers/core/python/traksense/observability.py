"""Logs and metrics, the same words in AWS and on one machine.

Logs are JSON lines on stdout (Powertools' formatter) and carry whatever ``log_context`` holds:
tenant, device, request id. Metrics are those of ``traksense.contracts.metrics``; where they go is
chosen once at start: Embedded Metric Format in AWS, Prometheus on one machine.
"""

from __future__ import annotations

import contextvars
import logging
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final, Protocol

from traksense.contracts.metrics import NAMESPACE, Metric

_context: contextvars.ContextVar[Mapping[str, str]] = contextvars.ContextVar(
    "log_context", default=MappingProxyType({})
)


@contextmanager
def log_context(**fields: str | None) -> Iterator[None]:
    """Put fields on every log line written inside; None leaves a field out."""
    present = {name: value for name, value in fields.items() if value is not None}
    token = _context.set({**_context.get(), **present})
    try:
        yield
    finally:
        _context.reset(token)


class _ContextFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        for name, value in _context.get().items():
            if not hasattr(record, name):
                setattr(record, name, value)
        return True


def configure_logging(service: str, level: str = "INFO") -> None:
    """Send the root logger's records to stdout as JSON lines.

    Only the first call counts: a process of the local platform says what it is before it loads a
    function, and keeps that name.
    """
    from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

    if any(isinstance(f, _ContextFilter) for h in logging.getLogger().handlers for f in h.filters):
        return
    handler = logging.StreamHandler(sys.stdout)
    formatter = LambdaPowertoolsFormatter(utc=True, use_rfc3339=True)
    formatter.append_keys(service=service)
    handler.setFormatter(formatter)
    handler.addFilter(_ContextFilter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in ("botocore", "boto3", "urllib3"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class MetricSink(Protocol):
    """Where metrics go."""

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        """Add to a counter."""

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Set a gauge."""

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Put one value into a histogram, in the metric's unit."""

    def flush(self) -> None:
        """Hand over what was gathered, at the end of a call."""


class NoMetrics:
    """A sink that forgets: the default until a start chooses one."""

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        """Forget."""

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Forget."""

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Forget."""

    def flush(self) -> None:
        """Nothing to hand over."""


class EmfMetrics:
    """Embedded Metric Format on stdout, which CloudWatch Logs turns into metrics."""

    def __init__(self, service: str) -> None:
        from aws_lambda_powertools.metrics import EphemeralMetrics

        self._service = service
        self._new = EphemeralMetrics
        self._by_label: dict[tuple[str, str] | None, EphemeralMetrics] = {}

    def _add(self, metric: Metric, value: float, label: str | None) -> None:
        # A metric with a dimension of its own goes into a document of its own, because the
        # dimensions of a document apply to all its metrics.
        key = None if metric.label is None or label is None else (metric.label, label)
        document = self._by_label.get(key)
        if document is None:
            document = self._new(namespace=NAMESPACE, service=self._service)
            if key is not None:
                document.add_dimension(name=key[0], value=key[1])
            self._by_label[key] = document
        document.add_metric(name=metric.name, unit=metric.unit, value=value)

    def count(self, metric: Metric, n: float, label: str | None = None) -> None:
        """Add to the call's document."""
        self._add(metric, n, label)

    def gauge(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Add to the call's document."""
        self._add(metric, value, label)

    def observe(self, metric: Metric, value: float, label: str | None = None) -> None:
        """Add to the call's document."""
        self._add(metric, value, label)

    def flush(self) -> None:
        """Print the documents and start new ones."""
        documents, self._by_label = self._by_label, {}
        for document in documents.values():
            document.flush_metrics(raise_on_empty_metrics=False)


class _Metrics:
    """The process's metrics; ``use`` says where they go."""

    def __init__(self) -> None:
        self._sink: MetricSink = NoMetrics()

    def use(self, sink: MetricSink) -> None:
        """Send everything from now on to this sink."""
        self._sink = sink

    def count(self, metric: Metric, n: float = 1, *, label: str | None = None) -> None:
        """Add ``n`` to a counter."""
        self._sink.count(metric, n, label)

    def gauge(self, metric: Metric, value: float, *, label: str | None = None) -> None:
        """Set a gauge."""
        self._sink.gauge(metric, value, label)

    def observe(self, metric: Metric, value: float, *, label: str | None = None) -> None:
        """Put one value into a histogram, in the metric's unit."""
        self._sink.observe(metric, value, label)

    @contextmanager
    def timed(self, metric: Metric, *, label: str | None = None) -> Iterator[None]:
        """Observe the milliseconds that the block takes, also when it fails."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.observe(metric, (time.perf_counter() - started) * 1000, label=label)

    def flush(self) -> None:
        """Hand over what was gathered, at the end of a call."""
        self._sink.flush()


metrics: Final = _Metrics()
