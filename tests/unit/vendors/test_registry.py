from __future__ import annotations

from typing import Any

import pytest

from traksense.domain.readings import MAX_PAYLOAD_BYTES, Decoded, Reading
from traksense.domain.reasons import Reason
from traksense.vendors import ADAPTERS, Adapter, decode

V1 = b'{"schema":"v1","ts":"2025-10-07T02:34:12Z","points":[{"name":"a","v":1}]}'
PARSEC = b'{"di1":1,"di2":0,"ts":"2025-10-07T15:30:00Z"}'


@pytest.mark.parametrize("adapter", [None, *ADAPTERS, "of_nobody"])
def test_schema_v1_is_normalised_whatever_the_adapter(read: Any, adapter: str | None) -> None:
    assert [one.point for one in read(V1, adapter).readings] == ["a"]


@pytest.mark.parametrize("adapter", [None, *ADAPTERS, "of_nobody"])
def test_schema_v1_spelled_with_escapes_is_normalised_too(read: Any, adapter: str | None) -> None:
    escaped = V1.replace(b'"schema"', b'"sch\\u0065ma"').replace(b'"v1"', b'"\\u00761"')
    assert [one.point for one in read(escaped, adapter).readings] == ["a"]


def test_a_partly_bad_v1_payload_is_normalised_for_any_adapter(read: Any, faults: Any) -> None:
    decoded = read(V1.replace(b'"v":1', b'"v":true'), "parsec_v1")
    assert faults(decoded) == [(Reason.WRONG_TYPE, "a")]


def test_an_unknown_adapter_is_an_adapter_error(read: Any, faults: Any) -> None:
    decoded = read(PARSEC, "of_nobody")
    assert faults(decoded) == [(Reason.ADAPTER_ERROR, None)]
    assert "of_nobody" in decoded.rejections[0].detail


@pytest.mark.parametrize("payload", [b"", b"   ", b"\n"])
@pytest.mark.parametrize("adapter", [None, *ADAPTERS])
def test_an_empty_payload_is_refused(
    read: Any, faults: Any, payload: bytes, adapter: str | None
) -> None:
    assert faults(read(payload, adapter)) == [(Reason.BAD_PAYLOAD, None)]


def test_a_payload_of_exactly_the_limit_is_read(read: Any, faults: Any) -> None:
    padded = V1 + b" " * (MAX_PAYLOAD_BYTES - len(V1))
    assert len(read(padded).readings) == 1
    assert faults(read(padded + b" ")) == [(Reason.TOO_LARGE, None)]


@pytest.mark.parametrize(
    "payload",
    [
        b"hello",
        b"{",
        b'{"a":1}x',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"di1":1}',
        b'{"a":"\x00"}',
        b"\x00\x01\x02",
        b"[" * 100_000,
        b'{"a":' * 20_000 + b"1" + b"}" * 20_000,
    ],
)
@pytest.mark.parametrize("adapter", [None, *ADAPTERS, "of_nobody"])
def test_what_is_no_json_is_refused(
    read: Any, faults: Any, payload: bytes, adapter: str | None
) -> None:
    decoded = read(payload, adapter)
    assert decoded.readings == []
    [(reason, point)] = faults(decoded)
    assert reason is Reason.BAD_JSON
    assert point is None


@pytest.mark.parametrize("payload", [b"7", b"null", b'"text"', b"{}", b"[]", b"[7]", b'{"x":1}'])
@pytest.mark.parametrize("adapter", [None, *ADAPTERS])
def test_json_of_another_shape_is_refused(
    read: Any, faults: Any, payload: bytes, adapter: str | None
) -> None:
    decoded = read(payload, adapter)
    assert decoded.readings == []
    assert {reason for reason, _ in faults(decoded)} == {Reason.BAD_PAYLOAD}


@pytest.mark.parametrize("adapter", [name for name in ADAPTERS if name != "parsec_v1"])
def test_the_named_adapter_reads_the_payload_even_if_it_looks_like_anothers(
    read: Any, faults: Any, adapter: str
) -> None:
    decoded = read(PARSEC, adapter)
    assert decoded.readings == []
    assert faults(decoded) == [(Reason.BAD_PAYLOAD, None)]


def test_an_adapter_that_fails_is_reported_without_a_traceback(
    faults: Any, received_at_us: int
) -> None:
    def fail(payload: bytes, received_at_us: int) -> Decoded:
        raise ZeroDivisionError("/secret/path.py")

    adapters = {"broken": Adapter(lambda document: True, fail)}
    for name in ("broken", None):
        decoded = decode(PARSEC, name, received_at_us, adapters)
        assert faults(decoded) == [(Reason.ADAPTER_ERROR, None)]
        assert decoded.rejections[0].detail.endswith("failed with ZeroDivisionError")


def test_an_adapter_may_read_what_is_no_json(received_at_us: int) -> None:
    def read_pair(payload: bytes, received_at_us: int) -> Decoded:
        return Decoded([Reading("raw", received_at_us, "num", float(payload[0]))])

    adapters = {"binary": Adapter(lambda document: False, read_pair)}
    for payload in (b"\x07\xff", b"\x07schema\xff"):
        decoded = decode(payload, "binary", received_at_us, adapters)
        assert [one.value for one in decoded.readings] == [7.0]


def test_the_list_of_adapters_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        ADAPTERS["mine"] = ADAPTERS["senml"]  # type: ignore[index]
