"""Logs and metrics: the documents that CloudWatch reads, and the fields that a line carries."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from traksense import bootstrap
from traksense.contracts import metrics as m
from traksense.observability import (
    EmfMetrics,
    NoMetrics,
    configure_logging,
    log_context,
    metrics,
)


@pytest.fixture
def emf() -> Iterator[None]:
    metrics.use(EmfMetrics("ingest"))
    yield
    metrics.use(NoMetrics())


def test_what_a_function_measures_in_lambda_bears_its_name_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1/none")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "traksense-prod-ingest")
    try:
        bootstrap.start("ingest")
        metrics.count(m.READINGS_STORED, 1)
        metrics.flush()
    finally:
        metrics.use(NoMetrics())
    assert documents(capsys)[0]["service"] == "traksense-prod-ingest"


def documents(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def described(document: dict[str, Any]) -> tuple[set[str], dict[str, str]]:
    """Dimensions, and unit by metric."""
    (directive,) = document["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == m.NAMESPACE
    (dimensions,) = directive["Dimensions"]
    return set(dimensions), {each["Name"]: each["Unit"] for each in directive["Metrics"]}


@pytest.mark.usefixtures("emf")
def test_one_call_is_one_document_of_all_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.count(m.READINGS_STORED, 40)
    metrics.count(m.READINGS_STORED, 2)
    metrics.observe(m.INGEST_LAG, 12.5)
    metrics.flush()
    (document,) = documents(capsys)
    assert described(document) == (
        {"service"},
        {"ReadingsStored": "Count", "IngestLag": "Milliseconds"},
    )
    assert (document["ReadingsStored"], document["IngestLag"]) == ([40, 2], [12.5])
    assert document["service"] == "ingest"


@pytest.mark.usefixtures("emf")
def test_each_value_of_a_label_is_a_document_with_that_dimension(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics.count(m.DEAD_LETTERS, 3, label="bad_json")
    metrics.count(m.DEAD_LETTERS, 1, label="unknown_point")
    metrics.count(m.READINGS_STORED, 1)
    metrics.gauge(m.QUEUE_DEPTH, 7, label="ingest")
    metrics.flush()
    found = documents(capsys)
    assert {document.get("reason") for document in found} == {"bad_json", "unknown_point", None}
    for document in found:
        dimensions, units = described(document)
        if "DeadLetters" in units:
            assert dimensions == {"service", "reason"}
            assert document["DeadLetters"] == [3 if document["reason"] == "bad_json" else 1]
        elif "QueueDepth" in units:
            assert (dimensions, document["queue"]) == ({"service", "queue"}, "ingest")
        else:
            assert dimensions == {"service"}


@pytest.mark.usefixtures("emf")
def test_a_flush_hands_over_once_and_an_empty_one_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    metrics.flush()
    metrics.count(m.READINGS_STORED, 1)
    metrics.flush()
    metrics.flush()
    assert len(documents(capsys)) == 1


@pytest.mark.usefixtures("emf")
def test_no_value_of_hundreds_is_lost(capsys: pytest.CaptureFixture[str]) -> None:
    for n in range(250):
        metrics.observe(m.BATCH_DURATION, float(n), label="ingest")
    metrics.flush()
    found = documents(capsys)
    assert sorted(value for document in found for value in document["BatchDuration"]) == [
        float(n) for n in range(250)
    ]
    assert {document["queue"] for document in found} == {"ingest"}


@pytest.mark.usefixtures("emf")
def test_time_is_observed_in_milliseconds_also_when_the_block_fails(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(LookupError), metrics.timed(m.BATCH_DURATION, label="ingest"):
        raise LookupError
    metrics.flush()
    (document,) = documents(capsys)
    assert 0 <= document["BatchDuration"][0] < 1000


def test_without_a_sink_metrics_are_forgotten(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.use(NoMetrics())
    metrics.count(m.READINGS_STORED)
    metrics.gauge(m.QUEUE_DEPTH, 1, label="ingest")
    metrics.observe(m.INGEST_LAG, 1)
    metrics.flush()
    assert capsys.readouterr().out == ""


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # another test may have configured this process
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_log_line_is_json_and_carries_its_context(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("ingest")
    configure_logging("ingest")
    log = logging.getLogger("traksense.test")
    with log_context(request_id="r-1", tenant="acme", device=None):
        with log_context(device="chiller-1"):
            log.info("inner %s", "Ação")
        log.warning("outer")
    log.info("after")
    log.debug("not shown")
    inner, outer, after = documents(capsys)
    assert (inner["message"], inner["service"], inner["level"]) == ("inner Ação", "ingest", "INFO")
    assert (inner["request_id"], inner["tenant"], inner["device"]) == ("r-1", "acme", "chiller-1")
    assert outer["tenant"] == "acme"
    assert "device" not in outer
    assert not {"request_id", "tenant", "device"} & set(after)


def test_an_exception_is_one_line_with_its_trace(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logging("ingest")
    try:
        json.loads("gone")
    except ValueError:
        logging.getLogger("traksense.test").exception("failed")
    (line,) = documents(capsys)
    assert "JSONDecodeError" in line["exception"]
