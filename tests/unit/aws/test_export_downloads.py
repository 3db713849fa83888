"""Where an address leads that is signed for a file."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest

from traksense.aws.export_downloads import presigning_client

REGIONS = ["sa-east-1", "eu-south-2"]
"""One of long ago, and one that answers no address without its name."""


def signed(region: str) -> str:
    url: str = presigning_client(region).generate_presigned_url(
        "get_object", Params={"Bucket": "exports-of-acme", "Key": "file.csv"}
    )
    return url


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3", raising=False)


@pytest.mark.parametrize("region", REGIONS)
def test_it_names_the_region_so_that_no_other_one_answers(region: str) -> None:
    url = urlsplit(signed(region))
    assert url.hostname == f"exports-of-acme.s3.{region}.amazonaws.com"
    assert f"/{region}/s3/" in parse_qs(url.query)["X-Amz-Credential"][0]


def test_an_emulator_is_asked_under_its_own_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    url = urlsplit(signed("us-east-1"))
    assert (url.hostname, url.path) == ("127.0.0.1", "/exports-of-acme/file.csv")
