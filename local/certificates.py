"""The certificate authorities of one local platform.

Two roots: one signs the server and the devices, the other only the platform's own identity, so
that no device's certificate opens the listener on which the platform reads everything.
Certificates follow RFC 5280; keys are P-256.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from traksense.contracts import topics

from .errors import StartupError
from .home import folder_lock, write_atomically
from .platform_name import PLATFORM_NAME

AUTHORITY_LIFE: Final = timedelta(days=20 * 365)
DEVICE_LIFE: Final = timedelta(days=10 * 365)
SERVICE_LIFE: Final = timedelta(days=397)
RENEW_BEFORE: Final = timedelta(days=30)
CLOCK_SKEW: Final = timedelta(minutes=5)


class KeyPair(NamedTuple):
    """Paths of a certificate and its private key, both PEM."""

    certificate: Path
    key: Path


class CertificateAuthority:
    """Both roots of a platform and what they signed. Loads what is there, makes what is not."""

    def __init__(self, directory: Path) -> None:
        """Raises StartupError where an authority has lost its key or is unreadable."""
        self._directory = directory
        self._devices = directory / "devices"
        self._devices.mkdir(mode=0o700, parents=True, exist_ok=True)
        with folder_lock(directory):
            self._root = _Root.load_or_create(directory, "ca", "TrakSense local CA")
            self._platform_root = _Root.load_or_create(
                directory, "platform-ca", "TrakSense local platform CA"
            )

    @property
    def ca_path(self) -> Path:
        """Certificate of the root that signs the server and the devices."""
        return self._root.paths.certificate

    @property
    def subject(self) -> x509.Name:
        """Name of the root that signs the server and the devices."""
        return self._root.certificate.subject

    @property
    def platform_ca_path(self) -> Path:
        """Certificate of the root that signs the platform's own identity."""
        return self._platform_root.paths.certificate

    def server_certificate(self) -> KeyPair:
        """The broker's certificate for 127.0.0.1, ::1 and localhost, renewed in time."""
        names = x509.SubjectAlternativeName(
            [
                x509.DNSName("localhost"),
                x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
                x509.IPAddress(ipaddress.ip_address("::1")),
            ]
        )
        return self._pair(
            self._root, self._directory / "server", "localhost", SERVICE_LIFE, RENEW_BEFORE, names
        )

    def bridge_certificate(self) -> KeyPair:
        """The platform's own identity on the broker, renewed in time."""
        return self._pair(
            self._platform_root,
            self._directory / "bridge",
            PLATFORM_NAME,
            SERVICE_LIFE,
            RENEW_BEFORE,
        )

    def device_certificate(self, thing_name: str) -> KeyPair:
        """A device's certificate, made once; its CN is the thing name.

        Raises TopicError for what is no thing name.
        """
        topics.split_thing_name(thing_name)
        return self._pair(
            self._root, self._devices / thing_name, thing_name, DEVICE_LIFE, timedelta(0)
        )

    def sign_device(self, request: x509.CertificateSigningRequest) -> x509.Certificate:
        """A device's certificate for a request whose CN is its thing name.

        Raises TopicError for what is no thing name, ValueError for a request that its own key has
        not signed, one of many names or none, or another kind of key.
        """
        if not request.is_signature_valid:
            raise ValueError("the request is not signed by its key")
        (name,) = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        topics.split_thing_name(str(name.value))
        key = request.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
            raise ValueError("a device's key is an elliptic curve's or RSA")  # noqa: TRY004
        return self._root.sign(key, str(name.value), DEVICE_LIFE, None)

    def revocation_list(self, serials: Collection[int], newer_than: datetime | None) -> bytes:
        """The PEM list of devices' certificates that are good no more (RFC 5280, section 5).

        Of two lists of one authority OpenSSL goes by the one with the later ``thisUpdate``, which
        counts whole seconds and must not be ahead of the clock.
        """
        now = datetime.now(UTC).replace(microsecond=0) - CLOCK_SKEW
        issued = now if newer_than is None else max(now, newer_than + timedelta(seconds=1))
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._root.certificate.subject)
            .last_update(issued)
            .next_update(self._root.certificate.not_valid_after_utc)
        )
        for serial in sorted(serials):
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(serial)
                .revocation_date(issued)
                .build()
            )
        made = builder.sign(self._root.key, hashes.SHA256())
        return made.public_bytes(serialization.Encoding.PEM)

    def _pair(
        self,
        root: _Root,
        stem: Path,
        common_name: str,
        life: timedelta,
        renew_before: timedelta,
        names: x509.SubjectAlternativeName | None = None,
    ) -> KeyPair:
        pair = KeyPair(stem.with_name(f"{stem.name}.crt"), stem.with_name(f"{stem.name}.key"))
        if _still_good(pair, root, renew_before):
            return pair
        with folder_lock(stem.parent):
            if not _still_good(pair, root, renew_before):
                key = _load_or_create_key(pair.key)
                certificate = root.sign(key.public_key(), common_name, life, names)
                write_atomically(pair.certificate, _pem(certificate))
        return pair


@dataclass(frozen=True, slots=True)
class _Root:
    paths: KeyPair
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def load_or_create(cls, directory: Path, stem: str, title: str) -> _Root:
        paths = KeyPair(directory / f"{stem}.crt", directory / f"{stem}.key")
        if not paths.certificate.exists():
            key = _load_or_create_key(paths.key)
            # A name of its own tells this home's authority from every other's.
            subject = _name(f"{title} {secrets.token_hex(4)}")
            certificate = _self_signed(subject, key)
            write_atomically(paths.certificate, _pem(certificate))
            return cls(paths, certificate, key)
        try:
            certificate = x509.load_pem_x509_certificate(paths.certificate.read_bytes())
            key = _load_key(paths.key)
        except (OSError, ValueError) as error:
            raise StartupError(
                f"the authority {paths.certificate} is damaged or has lost its key: restore it, "
                f"or delete {directory} to have all certificates made anew"
            ) from error
        return cls(paths, certificate, key)

    def sign(
        self,
        public_key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        common_name: str,
        life: timedelta,
        names: x509.SubjectAlternativeName | None,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if names else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common_name))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(min(now + life, self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()),
                critical=False,
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self.key, hashes.SHA256())


def _still_good(pair: KeyPair, root: _Root, renew_before: timedelta) -> bool:
    if not pair.key.exists():
        return False
    try:
        certificate = x509.load_pem_x509_certificate(pair.certificate.read_bytes())
    except (FileNotFoundError, ValueError):
        return False
    return (
        certificate.issuer == root.certificate.subject
        and certificate.not_valid_after_utc - renew_before > datetime.now(UTC)
    )


def _self_signed(subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    now = datetime.now(UTC)
    public_key = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _load_or_create_key(path: Path) -> ec.EllipticCurvePrivateKey:
    # The key goes first and a renewal keeps it: a certificate never lies beside another's key.
    if path.exists():
        try:
            return _load_key(path)
        except ValueError as error:
            raise StartupError(f"{path} is damaged: delete it to have it made anew") from error
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomically(
        path,
        key.private_bytes(
            serialization.Encoding.PEM,
            # SEC 1, which every MQTT client's TLS library reads.
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ),
    )
    return key


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} holds no elliptic-curve key")  # noqa: TRY004
    return key
