"""The reference against the code: what there is is documented, and nothing else."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from local import settings as local_settings
from local.endpoints import DeviceEndpoint, Endpoints, GatewayEndpoint, MqttEndpoint, UserEndpoint
from tests.unit.docs.pages import ROOT, Page, all_pages, page
from traksense.contracts.functions import FUNCTIONS
from traksense.contracts.metrics import METRICS, Metric
from traksense.contracts.queues import QUEUES, Queue
from traksense.contracts.schedules import SCHEDULES
from traksense.contracts.topics import Channel, device_topic, gateway_topic
from traksense.domain.reasons import Reason
from traksense.vendors.registry import ADAPTERS

SETTINGS = page("docs/reference/settings.md")
TOPICS = page("docs/reference/topics-and-payloads.md")
ARCHITECTURE = page("docs/architecture.md")

VARIABLE = re.compile(
    r"\b(?:TRAKSENSE|COGNITO|PROMETHEUS|AWS)_[A-Z][A-Z_]*[A-Z]\b|\bDATABASE_URL\b"
)

PROMISED = (
    "TRAKSENSE_HOME", "TRAKSENSE_HTTP_PORT", "TRAKSENSE_MQTT_PORT", "DATABASE_URL",
    "TRAKSENSE_DEMO", "TRAKSENSE_LOG_LEVEL",
)  # fmt: skip
"""The environment of ``make run``: a promise to whoever starts it."""


def variables_in_the_code() -> dict[str, str]:
    """Every environment variable that the code names as a string, and a file that does."""
    found = {}
    for folder in ("layers", "functions", "local", "device_sim"):
        for path in (ROOT / folder).rglob("*.py"):
            for quoted in re.findall(r'"([^"\n]*)"', path.read_text("utf-8")):
                if VARIABLE.fullmatch(quoted):
                    found[quoted] = str(path.relative_to(ROOT))
    return found


def documented_variables() -> set[str]:
    """Variables in the first column of a table."""
    return {name for row in SETTINGS.table_rows() for name in re.findall(r"`([A-Z_]+)`", row[0])}


def test_every_variable_that_the_code_reads_is_documented() -> None:
    missing = {
        name: file
        for name, file in variables_in_the_code().items()
        if name not in documented_variables()
    }
    assert missing == {}


def test_the_search_for_variables_finds_those_of_every_part() -> None:
    found = variables_in_the_code()
    assert found["TRAKSENSE_HOME"].startswith("local/")
    assert found["TRAKSENSE_RAW_RETENTION_DAYS"].startswith(("layers/", "local/"))
    assert "TRAKSENSE_NO_SUCH_THING" not in found


def test_no_variable_is_documented_that_nothing_reads() -> None:
    known = variables_in_the_code().keys()
    invented = {name for name in documented_variables() if VARIABLE.fullmatch(name)} - known
    assert invented == set()


@pytest.mark.parametrize("name", PROMISED)
def test_a_promised_variable_is_documented_and_read(name: str) -> None:
    assert SETTINGS.row(f"`{name}`")
    assert name in variables_in_the_code()


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("TRAKSENSE_HOME", local_settings.DEFAULT_HOME),
        ("TRAKSENSE_HTTP_PORT", str(local_settings.DEFAULT_HTTP_PORT)),
        ("TRAKSENSE_MQTT_PORT", str(local_settings.DEFAULT_MQTT_PORT)),
    ],
)
def test_the_documented_default_is_the_codes(name: str, default: str) -> None:
    assert SETTINGS.row(f"`{name}`")[1] == f"`{default}`"


def test_every_variable_of_a_functions_manifest_is_documented() -> None:
    named = {name for function in FUNCTIONS for name in function.environment}
    assert named <= documented_variables()


def test_every_field_of_the_endpoints_file_is_documented() -> None:
    section = SETTINGS.text.split("### `endpoints.json`", 1)[1]
    for kind in (Endpoints, MqttEndpoint, UserEndpoint, DeviceEndpoint, GatewayEndpoint):
        for field in fields(kind):
            assert f"`{field.name}`" in section, f"{kind.__name__}.{field.name}"


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_is_documented_as_it_is(metric: Metric) -> None:
    total = "_total" if metric.kind == "counter" else ""
    label = "–" if metric.label is None else f"`{metric.label}`"
    row = page("docs/reference/metrics.md").row(f"`{metric.name}`")
    assert row[1:5] == [f"`{metric.prometheus}{total}`", metric.kind, metric.unit, label]


def test_no_metric_is_documented_that_there_is_not() -> None:
    text = page("docs/reference/metrics.md").text
    known = {metric.prometheus for metric in METRICS}
    for name in re.findall(r"`(traksense_[a-z_]+)`", text):
        assert name.removesuffix("_total") in known, name


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_is_documented_with_what_to_do(reason: Reason) -> None:
    _, meaning, remedy = page("docs/reference/dead-letters.md").row(f"`{reason}`")
    assert len(meaning) > 10
    assert len(remedy) > 5


def test_no_reason_is_documented_that_there_is_not() -> None:
    text = page("docs/reference/dead-letters.md").text
    table = text.split("## Reasons", 1)[1].split("\n## ", 1)[0]
    documented = re.findall(r"^\| `([a-z_]+)` \|", table, re.MULTILINE)
    assert sorted(documented) == sorted(Reason)


@pytest.mark.parametrize("channel", Channel)
def test_a_channel_is_documented_with_its_topic_and_payload(channel: Channel) -> None:
    topic = str(device_topic("tenant", "site", "device", channel))
    shown = topic.replace("tenant", "{tenant}").replace("site", "{site}")
    assert TOPICS.row(f"`{shown.replace('/device/', '/{device}/')}`")
    assert any(f"`{channel}`" in title for _, title in TOPICS.headings)


def test_the_gateways_topic_is_documented() -> None:
    mac = "aa:bb:cc:dd:ee:ff"
    assert TOPICS.row(f"`{str(gateway_topic(mac)).replace(mac, '{mac}')}`")


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_an_adapter_has_a_section_with_an_example(adapter: str) -> None:
    titles = [title for _, title in TOPICS.headings if title.startswith(f"`{adapter}`")]
    assert len(titles) == 1
    section = TOPICS.text.split(f"### {titles[0]}\n", 1)[1].split("\n### ", 1)[0]
    assert "```json" in section or adapter == "normalised"


@pytest.mark.parametrize("queue", QUEUES, ids=lambda queue: queue.name)
def test_a_queue_is_documented_with_its_patience(queue: Queue) -> None:
    row = ARCHITECTURE.row(f"`{queue.name}`")
    assert row[1] == f"`{queue.function}`"
    hours = queue.max_receives * queue.visibility_s // 3600
    assert row[4] == f"{queue.max_receives} deliveries, {hours} h"
    assert f"{queue.batching['busy'].size:,}" in row[3]


def test_every_function_and_schedule_is_in_the_architecture() -> None:
    for name in [function.name for function in FUNCTIONS] + [each.name for each in SCHEDULES]:
        assert f"`{name}`" in ARCHITECTURE.text, name


def test_every_make_target_is_documented() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):.*##", makefile, re.MULTILINE))
    assert {"run", "test"} < targets
    documented = {row[0] for row in page("CONTRIBUTING.md").table_rows()}
    assert {name for name in targets if f"`make {name}`" not in documented} == set()


@pytest.mark.parametrize("each", all_pages(), ids=[each.name for each in all_pages()])
def test_no_page_names_a_make_target_that_there_is_not(each: Page) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    called = re.compile(r"^(?:[A-Z_]+=\S+ )*make(?: [A-Z_]+=\S+)* ([a-z-]+)", re.MULTILINE)
    commands = re.findall(r"`([^`\n]+)`", each.prose) + [body for _, body in each.code_blocks]
    for name in (name for command in commands for name in called.findall(command)):
        assert re.search(rf"^{name}:", makefile, re.MULTILINE), name
