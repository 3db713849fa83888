"""What the policies of devices let them do, read as AWS IoT reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from traksense.contracts import topics
from traksense.contracts.things import (
    DEVICE_POLICY,
    GATEWAY_POLICY,
    MAX_POLICY_CHARACTERS,
    POLICIES,
    SEARCHABLE,
    Thing,
    policies,
)
from traksense.contracts.topics import Channel

CHILLER = Thing("acme", "plant", "chiller-1")
METER = Thing("acme", "plant", "meter-1", "aa:bb:cc:dd:ee:ff")
VARIABLE = re.compile(r"\$\{iot:Connection\.Thing\.(?:Attributes\[(\w+)\]|(ThingName))\}")


def resolved(resource: str, thing: Thing) -> str | None:
    """A resource with its variables filled in; None where the thing lacks one."""
    values = {**thing.attributes, "ThingName": thing.name}
    names = {a or b for a, b in VARIABLE.findall(resource)}
    if not names <= set(values):
        return None
    return VARIABLE.sub(lambda found: values[found[1] or found[2]], resource)


def allowed(thing: Thing) -> Iterator[tuple[str, str, bool]]:
    """(action, resource, whether it asks for an attached thing) of all that a thing may do."""
    for policy in thing.policies:
        for statement in json.loads(POLICIES[policy])["Statement"]:
            assert statement["Effect"] == "Allow"
            is_bound = "iot:Connection.Thing.IsAttached" in str(statement.get("Condition"))
            for action in statement["Action"]:
                for resource in statement["Resource"]:
                    found = resolved(resource, thing)
                    if found is not None:
                        yield action, found.removeprefix("arn:aws:iot:*:*:"), is_bound


def of(thing: Thing, action: str) -> set[str]:
    return {resource for each, resource, _ in allowed(thing) if each == action}


@pytest.mark.parametrize("name", sorted(POLICIES))
def test_a_policy_is_short_enough_for_aws(name: str) -> None:
    assert len(POLICIES[name]) <= MAX_POLICY_CHARACTERS


def test_a_device_may_publish_its_own_telemetry_straight_to_a_rule_where_that_is_chosen() -> None:
    chosen = policies(straight_to="traksense_prod_telemetry")
    assert len(chosen[DEVICE_POLICY]) <= MAX_POLICY_CHARACTERS

    def publishes(document: str) -> set[str]:
        return {
            str(resolved(resource, CHILLER))
            for statement in json.loads(document)["Statement"]
            if statement["Action"] == ["iot:Publish"]
            for resource in statement["Resource"]
        }

    assert publishes(chosen[DEVICE_POLICY]) - publishes(POLICIES[DEVICE_POLICY]) == {
        "arn:aws:iot:*:*:topic/$aws/rules/traksense_prod_telemetry/"
        "traksense/acme/plant/chiller-1/telem"
    }
    assert chosen[GATEWAY_POLICY] == POLICIES[GATEWAY_POLICY]


def test_the_type_has_no_more_searchable_attributes_than_aws_allows() -> None:
    assert len(SEARCHABLE) <= 3


def test_a_device_publishes_to_its_own_topics_only() -> None:
    own = {
        f"topic/{topics.device_topic('acme', 'plant', 'chiller-1', channel)}"
        for channel in topics.UPLINK
    }
    assert of(CHILLER, "iot:Publish") == own
    command = topics.device_topic("acme", "plant", "chiller-1", Channel.CMD)
    assert of(CHILLER, "iot:Subscribe") == {f"topicfilter/{command}"}
    assert of(CHILLER, "iot:Receive") == {f"topic/{command}"}


def test_only_state_may_be_retained() -> None:
    state = topics.device_topic("acme", "plant", "chiller-1", Channel.STATE)
    assert of(CHILLER, "iot:RetainPublish") == {f"topic/{state}"}


def test_only_the_thing_itself_connects_and_only_with_its_own_certificate() -> None:
    connects = [each for each in allowed(CHILLER) if each[0] == "iot:Connect"]
    assert connects == [("iot:Connect", "client/acme_chiller-1", True)]


def test_a_gateway_also_publishes_under_its_mac() -> None:
    assert METER.policies == (DEVICE_POLICY, GATEWAY_POLICY)
    extra = f"topic/{topics.gateway_topic('aa:bb:cc:dd:ee:ff')}"
    assert extra in of(METER, "iot:Publish")
    assert len(of(METER, "iot:Publish")) == len(topics.UPLINK) + 1


def test_without_a_mac_the_gateways_policy_lets_nothing_through() -> None:
    (statement,) = json.loads(POLICIES[GATEWAY_POLICY])["Statement"]
    assert [resolved(each, CHILLER) for each in statement["Resource"]] == [None]


def test_nothing_is_allowed_by_a_wildcard() -> None:
    for _, resource, _ in [*allowed(CHILLER), *allowed(METER)]:
        assert not set("*#+") & set(resource)
