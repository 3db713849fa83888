"""Whatever bytes a device sends, out come readings or typed reasons, and never an exception."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from traksense.domain.readings import (
    MAX_TEXT_CHARS,
    POINT_TYPES,
    PYTHON_TYPES,
    Decoded,
    Reading,
    to_microseconds,
)
from traksense.domain.reasons import Reason
from traksense.vendors import ADAPTERS, decode, fields, normalised, snapshot

RECEIVED_AT_US = 1_767_323_045_678_901
FIXTURES = Path(__file__).parents[1] / "fixtures" / "vendors"
CAPTURED = [
    path.read_bytes()
    for path in sorted(FIXTURES.glob("*/*.json"))
    if not path.name.endswith(".expected.json")
]
LABELS = sorted(
    {"schema", "points", "ts", "meta", "name", "v", "t", "u", "di1", "di2", "rssi", "fw"}
    | {"DATA", "INFO", "TS", "INPUT1", "INPUT2", "VAR0", "RELE", "MODEL"}
    | {"bn", "bt", "bu", "bv", "bs", "bver", "n", "vs", "vb", "vd", "s", "ut", "x_"}
    | {"gateway", "timestamp", "leituras", "readings", "dispositivo", "device", "valor", "unidade"}
)
LIKELY = ["v1", "float", "bool", "text", "model", "Cel", "a", "D01", "1.5", "2025-10-07T02:34:12Z"]

adapters = st.sampled_from([None, *ADAPTERS, "of_nobody"])
texts = st.one_of(st.sampled_from(LIKELY), st.text(st.characters(), max_size=8))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 2**28, 2**63, 2**64, -(2**63) - 1, 10**309, 1552594568]),
    st.floats(),
    texts,
)
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(LABELS), texts), inner, max_size=6),
    ),
    max_leaves=25,
)


def storable(value: str) -> bool:
    value.encode("utf-8")
    return "\0" not in value


def assert_sound(decoded: Decoded) -> None:
    """Every value typed and finite, everything fit for the database, every fault explained."""
    for one in decoded.readings:
        assert type(one) is Reading
        assert 1 <= len(one.point) <= fields.MAX_NAME_CHARS
        assert type(one.ts_us) is int
        assert fields.FIRST_INSTANT_US <= one.ts_us <= fields.LAST_INSTANT_US
        if one.type == "num":
            assert type(one.value) is float
            assert math.isfinite(one.value)
        elif one.type == "bool":
            assert type(one.value) is bool
        else:
            assert one.unit is None
            assert one.type in ("enum", "text")
            assert type(one.value) is str
            assert len(one.value) <= MAX_TEXT_CHARS
            assert storable(one.value)
        assert all(storable(text) for text in (one.point, one.unit, one.child, one.alias) if text)
    for fault in decoded.rejections:
        assert type(fault.reason) is Reason
        assert storable(fault.detail)
        assert len(fault.detail) < 300
        assert fault.point is None or (storable(fault.point) and 0 < len(fault.point) < 300)
    facts = (decoded.meta, decoded.metadata, decoded.more_metadata)
    assert b"\\u0000" not in msgspec.json.encode(facts).replace(b"\\\\", b"")


def assert_no_adapter_failed(decoded: Decoded, adapter: str | None) -> None:
    if adapter != "of_nobody":
        assert Reason.ADAPTER_ERROR not in [fault.reason for fault in decoded.rejections]


def read(payload: bytes, adapter: str | None) -> Decoded:
    decoded = decode(payload, adapter, RECEIVED_AT_US)
    assert_sound(decoded)
    assert_no_adapter_failed(decoded, adapter)
    return decoded


@settings(max_examples=300, deadline=None)
@given(payload=st.binary(max_size=400), adapter=adapters)
def test_arbitrary_bytes_give_readings_or_reasons(payload: bytes, adapter: str | None) -> None:
    decoded = read(payload, adapter)
    assert decoded.readings or decoded.rejections


@settings(max_examples=500, deadline=None)
@given(document=documents, adapter=adapters)
def test_arbitrary_json_gives_readings_or_reasons(document: Any, adapter: str | None) -> None:
    read(json.dumps(document).encode(), adapter)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A captured payload with some of its bytes changed, taken out, or put in."""
    payload = bytearray(draw(st.sampled_from(CAPTURED)))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(payload)))
        end = min(len(payload), at + draw(st.sampled_from([0, 1, 1, 2, 20])))
        payload[at:end] = draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from([b"NaN", b"1e999", b"\\u0000", b"\\ud800", b"9" * 400, b"null"]),
            )
        )
    return bytes(payload)


@settings(max_examples=500, deadline=None)
@given(payload=damaged(), adapter=adapters)
def test_damaged_payloads_give_readings_or_reasons(payload: bytes, adapter: str | None) -> None:
    read(payload, adapter)


def _places(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    )
    return [path, *(place for key, child in inner for place in _places(child, (*path, key)))]


@st.composite
def altered(draw: st.DrawFn) -> bytes:
    """A captured payload in which any values are replaced by any others, or taken out."""
    document = {"root": json.loads(draw(st.sampled_from(CAPTURED)))}
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([place for place in _places(document) if place]))
        node: Any = document
        for key in path[:-1]:
            node = node[key]
        if len(path) > 1 and draw(st.booleans()):
            del node[path[-1]]
        else:
            node[path[-1]] = draw(documents)
    return json.dumps(document["root"]).encode()


@settings(max_examples=500, deadline=None)
@given(payload=altered(), adapter=adapters)
def test_altered_payloads_give_readings_or_reasons(payload: bytes, adapter: str | None) -> None:
    read(payload, adapter)


@settings(max_examples=500, deadline=None)
@given(payload=st.one_of(altered(), damaged()))
def test_the_fast_and_the_careful_way_agree(payload: bytes) -> None:
    whole = normalised.decode_whole(payload)
    if whole is not None:
        assert whole == normalised.decode_document(fields.parse(payload))
        assert whole.rejections == []


@settings(max_examples=500, deadline=None)
@given(payload=st.one_of(altered(), damaged()), adapter=adapters)
def test_a_snapshot_says_what_decoding_says(payload: bytes, adapter: str | None) -> None:
    plain = snapshot(payload)
    if plain is None:
        return
    decoded = decode(payload, adapter, RECEIVED_AT_US)
    assert decoded.meta == plain.meta
    typed = [
        Reading(
            each.point,
            plain.ts_us,
            POINT_TYPES[each.declared],
            each.value,
            (each.unit or None) if POINT_TYPES[each.declared] == "num" else None,
        )
        for each in plain.points
        if type(each.value) is PYTHON_TYPES[POINT_TYPES[each.declared]]
    ]
    assert decoded.readings == typed
    assert {fault.reason for fault in decoded.rejections} <= {Reason.WRONG_TYPE}
    assert len(decoded.rejections) == len(plain.points) - len(typed)


instants = st.datetimes(
    datetime(1970, 1, 2), datetime(2100, 1, 1), timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=-3)), timezone(timedelta(hours=5, minutes=45))]
    )
)  # fmt: skip
names = st.text(min_size=1, max_size=64).filter(lambda name: "\0" not in name)
good_values = st.one_of(
    st.tuples(st.sampled_from(["float", "num"]), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.sampled_from(["float", "num"]), st.integers(-(2**70), 2**70)),
    st.tuples(st.just("bool"), st.booleans()),
    st.tuples(st.sampled_from(["enum", "text"]), st.text(max_size=50).filter(storable)),
)


@settings(max_examples=300, deadline=None)
@given(
    ts=instants,
    points=st.lists(
        st.tuples(
            names, good_values, st.none() | instants, st.none() | st.sampled_from(["°C", "%"])
        ),
        max_size=8,
    ),
    adapter=adapters,
)
def test_a_good_message_comes_out_as_it_was_sent(
    ts: datetime, points: list[Any], adapter: str | None
) -> None:
    sent, expected = [], []
    for name, (declared, value), own, unit in points:
        point = {"name": name, "t": declared, "v": value, "u": unit}
        if own is not None:
            point["ts"] = own.isoformat()
        sent.append(point)
        kind: Any = "num" if declared in ("float", "num") else declared
        stored = float(value) if kind == "num" else value
        expected.append(
            Reading(name, to_microseconds(own or ts), kind, stored, unit if kind == "num" else None)
        )
    message = {"schema": "v1", "ts": ts.isoformat(), "points": sent}
    for ascii_only in (True, False):
        decoded = read(json.dumps(message, ensure_ascii=ascii_only).encode(), adapter)
        assert decoded.readings == expected
        assert decoded.rejections == []


@settings(max_examples=300, deadline=None)
@given(bad=st.lists(documents, min_size=1, max_size=4), at=st.integers(0, 4))
def test_bad_points_never_lose_a_good_neighbour(bad: list[Any], at: int) -> None:
    good = {"name": "the_good_one", "v": 1.25}
    points = [*bad[:at], good, *bad[at:]]
    message = {"schema": "v1", "ts": "2025-10-07T02:34:12Z", "points": points}
    decoded = read(json.dumps(message).encode(), None)
    assert ("the_good_one", 1.25) in [(one.point, one.value) for one in decoded.readings]
    assert len(decoded.readings) + len(decoded.rejections) == len(points)


thousandths = st.decimals(-(10**9), 10**9, places=3)


@settings(max_examples=300, deadline=None)
@given(value=thousandths)
def test_decimals_keep_their_digits_on_every_way_in(value: Any) -> None:
    digits = f"{value:.3f}"
    by_tds = read(
        b'{"timestamp":"2025-10-07T02:34:12Z","leituras":[{"dispositivo":"D01","valor":"%s"}]}'
        % digits.encode(),
        "tds_v1",
    )
    by_v1 = read(
        b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"a","v":%s}]}'
        % digits.encode(),
        None,
    )
    by_senml = read(b'[{"n":"a","v":%s}]' % digits.encode(), None)
    assert [one.readings[0].value for one in (by_tds, by_v1, by_senml)] == [float(digits)] * 3
