"""The token that stands for a password, held to what botocore makes of the same."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import botocore.session
import pytest
from cryptography import x509

from traksense.aws import rds_iam
from traksense.domain.errors import ConfigurationError
from traksense.settings.login import AwsCredentials

AUTHORITIES = Path(rds_iam.__file__).with_name("database-authorities.pem")
HOST = "traksense.example.sa-east-1.rds.amazonaws.com"
LOGIN = "traksense_login_ingest"


def of_botocore(credentials: AwsCredentials, user: str) -> tuple[str, datetime]:
    session = botocore.session.Session()
    session.set_credentials(
        credentials.access_key_id, credentials.secret_access_key, credentials.session_token
    )
    client = session.create_client("rds", region_name="sa-east-1")
    token = client.generate_db_auth_token(DBHostname=HOST, Port=5432, DBUsername=user)
    moment = re.search(r"X-Amz-Date=(\w+)", token)
    assert moment is not None
    return token, datetime.strptime(moment[1], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


@pytest.mark.parametrize("session_token", [None, "a/session+token=="])
@pytest.mark.parametrize("user", [LOGIN, "some one@example/+"])
def test_the_token_is_the_one_that_botocore_signs(session_token: str | None, user: str) -> None:
    credentials = AwsCredentials("AKIDEXAMPLE", "wJalrXUtnFEMI/EXAMPLEKEY", session_token)
    token, at = of_botocore(credentials, user)
    ours = rds_iam.signed(f"{HOST}:5432", user, "sa-east-1", credentials, at)
    address, query = ours.split("?")
    assert address == f"{HOST}:5432/"
    # In whatever order the fields stand, what is signed has them sorted.
    assert sorted(query.split("&")) == sorted(token.split("?")[1].split("&"))


def test_credentials_are_asked_for_at_each_connection() -> None:
    given = iter([AwsCredentials("FIRST", "x", None), AwsCredentials("SECOND", "x", None)])
    passwords = rds_iam.RdsIamPasswords(HOST, 5432, LOGIN, "sa-east-1", lambda: next(given))
    assert "FIRST" in passwords.current()
    assert "SECOND" in passwords.current()
    assert passwords.others("refused") == ()


@pytest.mark.parametrize(
    ("url", "address", "user"),
    [
        (f"postgresql://{LOGIN}@{HOST}/x?sslmode=verify-full", f"{HOST}:5432", LOGIN),
        (f"postgresql://some%20one@{HOST}:6432/x", f"{HOST}:6432", "some%20one"),
    ],
)
def test_the_url_says_for_whom_and_where(url: str, address: str, user: str) -> None:
    passwords = rds_iam.RdsIamPasswords.of_url(
        url, "sa-east-1", lambda: AwsCredentials("A", "B", None)
    )
    token = passwords.current()
    assert token.startswith(f"{address}/?Action=connect&DBUser={user}&")


@pytest.mark.parametrize("url", ["postgresql:///x", f"postgresql://{HOST}/x"])
def test_a_url_that_names_nobody_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must name a host and a user"):
        rds_iam.RdsIamPasswords.of_url(url, "sa-east-1", AwsCredentials.from_environment)


def test_the_authorities_are_those_of_rds_and_of_its_proxy_for_years_to_come() -> None:
    found = x509.load_pem_x509_certificates(AUTHORITIES.read_bytes())
    names = {
        str(each.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value)
        for each in found
    }
    assert len(names) == len(found)
    assert {"Amazon RDS sa-east-1 Root CA RSA2048 G1", "Amazon Root CA 1"} <= names
    for each in found:
        assert each.issuer == each.subject
        assert each.not_valid_after_utc > datetime(2037, 1, 1, tzinfo=UTC), each.subject
