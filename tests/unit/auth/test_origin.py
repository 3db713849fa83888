"""Whose word about a caller's address counts."""

from __future__ import annotations

import pytest

from traksense.auth.origin import DIRECT, Origin, network_of
from traksense.domain.errors import ConfigurationError
from traksense.settings.api import OriginSettings

FRONT = Origin(("a secret of sixteen",))


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9:51000", None),
        ("nowhere", None),
        ("", None),
    ],
)
def test_the_viewers_address_is_believed_behind_the_front(given: str, address: str | None) -> None:
    assert FRONT.address({"x-viewer-address": given}, "10.0.0.1") == address


def test_without_a_front_a_header_says_nothing() -> None:
    headers = {"x-viewer-address": "203.0.113.9", "x-forwarded-for": "203.0.113.9"}
    assert DIRECT.address(headers, "198.51.100.7") == "198.51.100.7"
    assert DIRECT.address(headers, None) is None
    assert DIRECT.admits({})


def test_a_secret_is_compared_whole() -> None:
    assert FRONT.admits({"x-origin-secret": "a secret of sixteen"})
    for wrong in ("", "a secret", "a secret of sixteen ", "\ud800"):
        assert not FRONT.admits({"x-origin-secret": wrong})
    assert not FRONT.admits({})


def test_a_network_of_ipv6_is_one_caller() -> None:
    assert network_of("198.51.100.7") == "198.51.100.7"
    assert network_of("2001:db8:0:1::5") == network_of("2001:db8:0:1:ffff::9")
    assert network_of("2001:db8:0:1::5") != network_of("2001:db8:0:2::5")


def test_secrets_are_read_and_short_ones_refused() -> None:
    read = OriginSettings.from_environment
    assert read({}).secrets == ()
    assert read({"TRAKSENSE_ORIGIN_SECRETS": "a" * 16 + " , " + "b" * 16}).secrets == (
        "a" * 16, "b" * 16,
    )  # fmt: skip
    for bad in ("short", "a" * 16 + ","):
        with pytest.raises(ConfigurationError, match="TRAKSENSE_ORIGIN_SECRETS") as found:
            read({"TRAKSENSE_ORIGIN_SECRETS": bad})
        assert bad not in str(found.value)
    assert "a" * 16 not in repr(read({"TRAKSENSE_ORIGIN_SECRETS": "a" * 16}))
