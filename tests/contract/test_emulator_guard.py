"""Who reaches the emulator: the run's own signed requests, and nobody else."""

from __future__ import annotations

import io
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local.aws.identifiers import SENDER
from local.aws.mailbox import Mailbox
from tests.contract.emulator import Emulator
from traksense.aws.export_downloads import S3Downloads
from traksense.aws.ses import SesMailer
from traksense.contracts.buckets import EXPORTS
from traksense.i18n.mail import Mail
from traksense.services.export_mail import MailAway


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    made = Emulator.start(tmp_path_factory.mktemp("home"))
    yield made
    made.stop()


def s3(emulator: Emulator) -> Any:
    return emulator.client("s3", signature="s3v4")


def refused(call: Any) -> bool:
    with pytest.raises(ClientError) as caught:
        call()
    return bool(caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403)


def fetch(url: str, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=5) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_the_keys_are_public(emulator: Emulator) -> None:
    assert emulator.jwks()["keys"][0]["alg"] == "RS256"


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/", "GET"),
        ("/", "POST"),
        ("/moto-api/reset", "POST"),
        ("/moto-api/data.json", "GET"),
        ("/traksense-exports", "GET"),
        ("/latest/meta-data/", "GET"),
        ("/favicon.ico", "GET"),
    ],
)
def test_what_is_not_signed_is_refused(emulator: Emulator, path: str, method: str) -> None:
    assert emulator.get(path, method)[0] == 403


def test_a_web_page_is_refused_also_where_it_only_asks_for_the_keys(emulator: Emulator) -> None:
    path = f"/{emulator.ids.user_pool_id}/.well-known/jwks.json"
    for origin in ("http://evil.example", "null", f"http://127.0.0.1:{emulator.port}"):
        assert emulator.get(path, Origin=origin)[0] == 403
        assert emulator.get("/", "OPTIONS", Origin=origin)[0] == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost:1", "s3.amazonaws.com", "x.127.0.0.1.nip.io"]
)
def test_a_foreign_host_name_is_refused(emulator: Emulator, host: str) -> None:
    path = f"/{emulator.ids.user_pool_id}/.well-known/jwks.json"
    assert emulator.get(path, Host=host)[0] == 403


@pytest.mark.parametrize("service", ["cognito-idp", "s3", "ses"])
def test_another_access_key_or_secret_is_refused(emulator: Emulator, service: str) -> None:
    calls = {
        "cognito-idp": lambda client: client.list_user_pools(MaxResults=1),
        "s3": lambda client: client.list_buckets(),
        "ses": lambda client: client.list_identities(),
    }
    calls[service](emulator.client(service))
    assert refused(lambda: calls[service](emulator.client(service, key_id="AKIAEXAMPLE")))
    assert refused(lambda: calls[service](emulator.client(service, secret="guess")))


@pytest.mark.parametrize("service", ["sts", "secretsmanager", "iam", "dynamodb"])
def test_other_services_are_refused(emulator: Emulator, service: str) -> None:
    client = emulator.client(service)
    call = {
        "sts": lambda: client.get_caller_identity(),
        "secretsmanager": lambda: client.list_secrets(),
        "iam": lambda: client.list_users(),
        "dynamodb": lambda: client.list_tables(),
    }[service]
    assert refused(call)


def test_objects_go_in_and_come_out_whatever_they_are_called(emulator: Emulator) -> None:
    client = s3(emulator)
    for key in ("plain.csv", "a b/ção+x%2F?&=.csv", "deep/er//still"):
        client.put_object(Bucket=EXPORTS.name, Key=key, Body=b"1,2\n" * 10)
        assert client.get_object(Bucket=EXPORTS.name, Key=key)["Body"].read() == b"1,2\n" * 10
        url = client.generate_presigned_url(
            "get_object", Params={"Bucket": EXPORTS.name, "Key": key}, ExpiresIn=60
        )
        assert fetch(url) == (200, b"1,2\n" * 10)


def test_a_large_upload_in_parts_is_whole(emulator: Emulator) -> None:
    client = s3(emulator)
    content = bytes(range(256)) * 60_000
    client.upload_fileobj(io.BytesIO(content), EXPORTS.name, "large")
    assert client.get_object(Bucket=EXPORTS.name, Key="large")["Body"].read() == content


def test_a_presigned_link_opens_its_object_for_its_time_and_nothing_else(
    emulator: Emulator,
) -> None:
    client = s3(emulator)
    client.put_object(Bucket=EXPORTS.name, Key="mine", Body=b"mine")
    client.put_object(Bucket=EXPORTS.name, Key="secret", Body=b"secret")
    url = client.generate_presigned_url(
        "get_object", Params={"Bucket": EXPORTS.name, "Key": "mine"}, ExpiresIn=1
    )
    assert fetch(url) == (200, b"mine")
    assert fetch(url.replace("/mine?", "/secret?"))[0] == 403
    assert fetch(url.replace("X-Amz-Expires=1&", "X-Amz-Expires=3600&"))[0] == 403
    assert fetch(url.replace("/mine?", "/mine?acl&"))[0] == 403
    assert fetch(url, Origin="http://evil.example")[0] == 403
    time.sleep(2.1)
    assert fetch(url)[0] == 403


def test_a_presigned_address_is_for_reading_files_alone(emulator: Emulator) -> None:
    client = s3(emulator)
    given = {"Bucket": EXPORTS.name, "Key": "kept"}
    client.put_object(**given, Body=b"kept")
    for operation, method in (("put_object", "PUT"), ("delete_object", "DELETE")):
        url = client.generate_presigned_url(operation, Params=given, ExpiresIn=60)
        request = urllib.request.Request(url, method=method, data=b"x")
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)
        with caught.value as refusal:
            assert refusal.code == 403
    assert client.get_object(**given)["Body"].read() == b"kept"
    other = emulator.client("ses").generate_presigned_url("list_identities", ExpiresIn=60)
    assert fetch(other)[0] == 403


def test_a_file_is_opened_under_its_name_by_an_address_without_a_session(
    emulator: Emulator,
) -> None:
    client = s3(emulator)
    files = S3Downloads(EXPORTS.name, "us-east-1", lambda _region: client)
    client.put_object(Bucket=EXPORTS.name, Key="t/e/file.csv", Body=b"a,b")
    media_type = "text/csv; charset=utf-8"
    url = files.url("t/e/file.csv", "ação.csv", media_type, timedelta(minutes=5))
    assert url is not None
    with urllib.request.urlopen(url, timeout=5) as response:
        assert response.read() == b"a,b"
        assert response.headers["Content-Type"] == media_type
        assert response.headers["Content-Disposition"] == (
            "attachment; filename=\"a__o.csv\"; filename*=UTF-8''a%C3%A7%C3%A3o.csv"
        )
    assert files.url("t/e/gone.csv", "gone.csv", media_type, timedelta(minutes=5)) is None


def test_an_e_mail_of_the_platform_arrives_with_both_parts(emulator: Emulator) -> None:
    ses = emulator.client("ses")
    mail = Mail("Sua exportação", "<p>Olá</p>", "Olá, em texto")
    SesMailer(f"TrakSense <{SENDER}>", "us-east-1", None, lambda _region: ses).send(
        "ana@acme.example", mail
    )
    (kept,) = [
        each
        for each in Mailbox(emulator.home / "aws" / "mail").newest_first()
        if each.subject == mail.subject
    ]
    assert kept.recipients == ["ana@acme.example"]
    assert kept.html is not None
    assert "<p>Olá</p>" in kept.html
    assert "Olá, em texto" in kept.text
    # Our own address is at fault, not the person's: it is tried again.
    with pytest.raises(MailAway):
        SesMailer("eve@evil.example", "us-east-1", None, lambda _region: ses).send(
            "ana@acme.example", mail
        )


def test_the_access_key_in_a_presigned_link_is_of_no_use(emulator: Emulator) -> None:
    key_id = emulator.environment["AWS_ACCESS_KEY_ID"]
    scope = f"{key_id}/20260101/us-east-1/cognito-idp/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={'0' * 64}"
    status, _ = emulator.get(
        "/",
        "POST",
        Authorization=header,
        X_Amz_Date="20260101T000000Z",
        X_Amz_Target="AWSCognitoIdentityProviderService.ListUserPools",
    )
    assert status == 403


def test_mail_of_the_platform_can_be_sent(emulator: Emulator) -> None:
    client = emulator.client("ses")
    message: Any = {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}
    to = {"ToAddresses": ["ana@acme.example"]}
    assert client.send_email(Source=SENDER, Destination=to, Message=message)["MessageId"]
    with pytest.raises(ClientError):
        client.send_email(Source="eve@evil.example", Destination=to, Message=message)
