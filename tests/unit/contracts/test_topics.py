from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from traksense.contracts import topics
from traksense.contracts.topics import Channel, GatewayTopic, PresenceTopic, TopicError

slugs = st.from_regex(topics.SLUG_PATTERN, fullmatch=True)
names = st.from_regex(topics.DEVICE_NAME_PATTERN, fullmatch=True)


@given(slugs, slugs, names, st.sampled_from(Channel))
def test_what_is_built_parses_back(tenant: str, site: str, device: str, channel: Channel) -> None:
    built = topics.device_topic(tenant, site, device, channel)
    assert topics.parse(str(built)) == built
    assert topics.split_thing_name(built.thing_name) == (tenant, device)
    assert len(built.thing_name) <= 64, "a certificate's CN holds no more"


@pytest.mark.parametrize("mac", ["AA:BB:CC:DD:EE:FF", "aa-bb-cc-dd-ee-ff", "aabbccddeeff"])
def test_a_mac_has_one_form_however_it_was_written(mac: str) -> None:
    assert topics.parse(f"tds_new/devices/{mac}/telemetry") == GatewayTopic("aa:bb:cc:dd:ee:ff")


def test_presence_is_read_with_its_client() -> None:
    parsed = topics.parse("$aws/events/presence/disconnected/acme_x")
    assert parsed == PresenceTopic(connected=False, client_id="acme_x")
    assert str(parsed) == "$aws/events/presence/disconnected/acme_x"


@given(st.text(max_size=80))
def test_any_text_parses_or_is_refused_with_a_reason(text: str) -> None:
    try:
        parsed = topics.parse(text)
    except TopicError:
        return
    assert topics.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    "topic",
    [
        "traksense/acme/plant/x",
        "traksense/acme/plant/x/telem/y",
        "traksense/Acme/plant/x/telem",
        "traksense/acme/plant/x y/telem",
        "traksense/acme//x/telem",
        "traksense/acme/plant/x/other",
        "tds_new/devices/aa:bb/telemetry",
        "other/acme/plant/x/telem",
        "traksense/acme/plant/" + "x" * 33 + "/telem",
    ],
)
def test_foreign_topics_are_refused(topic: str) -> None:
    with pytest.raises(TopicError):
        topics.parse(topic)


@pytest.mark.parametrize(
    ("topic_filter", "topic", "expected"),
    [
        ("traksense/+/+/+/telem", "traksense/a/b/c/telem", True),
        ("traksense/+/+/+/telem", "traksense/a/b/c/state", False),
        ("traksense/+/+/+/telem", "traksense/a/b/telem", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("#", "$SYS/broker", False),
        ("+/b", "$SYS/b", False),
        ("a/+", "a/", True),
        ("a", "a/b", False),
    ],
)
def test_filters_match_as_mqtt_says(topic_filter: str, topic: str, expected: bool) -> None:
    assert topics.matches(topic_filter, topic) is expected
