from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store

from local.certificates import CertificateAuthority, KeyPair
from local.errors import StartupError
from traksense.contracts.topics import TopicError


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


def load(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def common_name(certificate: x509.Certificate) -> object:
    return certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def signed_by(ca: Path, pair: KeyPair) -> bool:
    try:
        load(pair.certificate).verify_directly_issued_by(load(ca))
    except (ValueError, InvalidSignature):
        return False
    return True


def test_the_server_is_known_by_each_of_its_loopback_names(
    authority: CertificateAuthority,
) -> None:
    certificate = load(authority.server_certificate().certificate)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    addresses = [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    assert addresses == ["127.0.0.1", "::1"]
    verifier = (
        PolicyBuilder()
        .store(Store([load(authority.ca_path)]))
        .build_server_verifier(x509.DNSName("localhost"))
    )
    assert verifier.verify(certificate, [])


def test_a_device_is_its_common_name_with_a_p256_key(authority: CertificateAuthority) -> None:
    pair = authority.device_certificate("acme_chiller-1")
    certificate = load(pair.certificate)
    assert common_name(certificate) == "acme_chiller-1"
    key = serialization.load_pem_private_key(pair.key.read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert key.public_key() == certificate.public_key()
    usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_thing_name_of_64_characters_fits(authority: CertificateAuthority) -> None:
    name = f"{'a' * 31}_{'b' * 32}"
    assert common_name(load(authority.device_certificate(name).certificate)) == name


@pytest.mark.parametrize("name", ["../escape_x", "nounderscore", "acme_", "acme_a/b", ""])
def test_what_is_no_thing_name_gets_no_certificate(
    authority: CertificateAuthority, name: str
) -> None:
    with pytest.raises(TopicError):
        authority.device_certificate(name)


def test_keys_are_readable_by_their_owner_only(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    authority.server_certificate()
    authority.bridge_certificate()
    authority.device_certificate("acme_chiller-1")
    keys = sorted(path.name for path in tmp_path.rglob("*.key"))
    assert keys == ["acme_chiller-1.key", "bridge.key", "ca.key", "platform-ca.key", "server.key"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.key")} == {0o600}


def test_only_the_platforms_identity_is_under_the_platforms_root(
    authority: CertificateAuthority,
) -> None:
    device, bridge = authority.device_certificate("acme_chiller-1"), authority.bridge_certificate()
    assert signed_by(authority.ca_path, device)
    assert signed_by(authority.platform_ca_path, bridge)
    assert not signed_by(authority.platform_ca_path, device)
    assert not signed_by(authority.ca_path, bridge)


def test_a_restart_loads_what_is_there(authority: CertificateAuthority, tmp_path: Path) -> None:
    first = authority.device_certificate("acme_chiller-1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.crt")}
    again = CertificateAuthority(tmp_path)
    assert again.device_certificate("acme_chiller-1") == first
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.crt")} == before


def test_two_homes_have_authorities_of_different_names(tmp_path: Path) -> None:
    subjects = {load(CertificateAuthority(tmp_path / name).ca_path).subject for name in ("a", "b")}
    assert len(subjects) == 2


def test_a_certificate_asked_for_by_many_at_once_is_made_once(tmp_path: Path) -> None:
    authorities = [CertificateAuthority(tmp_path) for _ in range(8)]
    seen: list[bytes] = []

    def ask(authority: CertificateAuthority) -> None:
        seen.append(authority.device_certificate("acme_chiller-1").certificate.read_bytes())

    threads = [threading.Thread(target=ask, args=(authority,)) for authority in authorities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert len(set(seen)) == 1


def about_to_expire(tmp_path: Path, pair: KeyPair, remaining: timedelta) -> None:
    """Put a certificate with this little life left in the place of another one."""
    old = load(pair.certificate)
    key = serialization.load_pem_private_key((tmp_path / "ca.key").read_bytes(), None)
    if old.issuer == load(tmp_path / "platform-ca.crt").subject:
        key = serialization.load_pem_private_key((tmp_path / "platform-ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    now = datetime.now(UTC)
    short = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.issuer)
        .public_key(old.public_key())
        .serial_number(old.serial_number)
        .not_valid_before(now - timedelta(days=300))
        .not_valid_after(now + remaining)
        .sign(key, hashes.SHA256())
    )
    pair.certificate.write_bytes(short.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("which", ["server_certificate", "bridge_certificate"])
@pytest.mark.parametrize(("days", "renewed"), [(29, True), (31, False)])
def test_a_service_certificate_is_renewed_in_its_last_month_with_its_key(
    authority: CertificateAuthority, tmp_path: Path, which: str, days: int, renewed: bool
) -> None:
    pair: KeyPair = getattr(authority, which)()
    about_to_expire(tmp_path, pair, timedelta(days=days))
    key, certificate = pair.key.read_bytes(), pair.certificate.read_bytes()
    getattr(CertificateAuthority(tmp_path), which)()
    assert (pair.certificate.read_bytes() != certificate) is renewed
    assert pair.key.read_bytes() == key
    left = load(pair.certificate).not_valid_after_utc - datetime.now(UTC)
    assert left > timedelta(days=30) if renewed else left < timedelta(days=32)


def test_a_new_authority_signs_everything_anew(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    authority.device_certificate("acme_chiller-1")
    for path in ("ca.crt", "ca.key"):
        (tmp_path / path).unlink()
    again = CertificateAuthority(tmp_path)
    assert signed_by(again.ca_path, again.device_certificate("acme_chiller-1"))


def test_an_authority_that_lost_its_key_stops_the_start(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    (tmp_path / "ca.key").unlink()
    with pytest.raises(StartupError, match="lost its key"):
        CertificateAuthority(tmp_path)


def test_a_thousand_certificates_take_seconds_at_most(authority: CertificateAuthority) -> None:
    started = datetime.now(UTC)
    for number in range(200):
        authority.device_certificate(f"acme_device-{number}")
    assert datetime.now(UTC) - started < timedelta(seconds=10)
