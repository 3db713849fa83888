"""Whatever a caller sends, the answer is an answer and never a fault of ours."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from functions.api.routing import REGISTRY, Route

from .support import OPERATOR, World, call

ROUTES = sorted(REGISTRY)
ANYTHING = st.text(st.characters(), max_size=40)  # surrogates and NUL among them
PLAUSIBLE = st.sampled_from(
    ["chiller-0", "temp_agua", "2025-10-07T00:00:00Z", "9999-12-31T23:59:59.999999-23:59", "1",
     "-0", "1" * 30, "true", "raw", "bad_json", "acme", "traksense/", "%", "'", "\\"]
)  # fmt: skip
VALUES = st.lists(ANYTHING | PLAUSIBLE, max_size=2)


def query(spec: Route) -> st.SearchStrategy[dict[str, list[str]]]:
    names = [field.alias or name for name, field in spec.params.model_fields.items()]
    known = st.sampled_from([*names, "tenant", "device", "cursor"])
    return st.dictionaries(known | ANYTHING, VALUES, max_size=6)


@pytest.mark.parametrize("route", ROUTES)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_request_is_a_fault_of_ours(
    world: World, route: tuple[str, str], data: st.DataObject
) -> None:
    method, template = route
    person = data.draw(st.sampled_from([OPERATOR, world.acme.viewer]))
    headers = data.draw(
        st.dictionaries(st.sampled_from(["X-Tenant", "Accept-Language", "Content-Type"]), ANYTHING)
    )
    identifier = data.draw(st.just(str(world.acme.device)) | ANYTHING.map(_one_segment))
    body = data.draw(st.none() | ANYTHING | st.dictionaries(ANYTHING, st.none() | st.floats()))
    answer = call(
        method,
        template.replace("{device_id}", identifier),
        person,
        query=data.draw(query(REGISTRY[route])),
        headers=headers,
        body=body,
    )
    assert answer.status < 500, answer.text
    answer.text.encode("utf-8")


def _one_segment(text: str) -> str:
    return text.replace("/", "-")
