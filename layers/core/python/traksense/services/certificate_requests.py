"""Keys and certificate requests (PKCS #10, RFC 2986) of devices."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import text

LEAST_RSA_BITS: Final = 2048
CURVES: Final = ("secp256r1", "secp384r1")
"""Those that AWS IoT takes (developer guide, "X.509 client certificates")."""

# cryptography is imported where it is used: most calls of the API never make a certificate.


@dataclass(frozen=True, slots=True)
class KeyAndRequest:
    """A new private key (SEC 1, PEM) with a request for its certificate (PEM)."""

    key: str = field(repr=False)
    request: str


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What identifies a certificate. ``fingerprint`` and ``serial_number`` in lower-case hex."""

    fingerprint: str
    """SHA-256 of the DER form."""
    serial_number: str
    expires_at: datetime


def new_key(thing_name: str) -> KeyAndRequest:
    """A key on P-256, and a request with the thing's name as its CN."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, thing_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return KeyAndRequest(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        ).decode("ascii"),
        request.public_bytes(serialization.Encoding.PEM).decode("ascii"),
    )


def checked(request: str, thing_name: str) -> str:
    """A device's own request, in PEM.

    Raises Invalid where it is none, is not signed by its key, is for another name (its subject
    has to be CN=<thing name> and nothing else), or for a key that is too weak.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    try:
        read = x509.load_pem_x509_csr(request.encode("utf-8"))
        is_signed, key, subject = read.is_signature_valid, read.public_key(), list(read.subject)
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid("csr.unreadable") from None
    if not is_signed:
        raise _invalid("csr.unsigned")
    if [(part.oid, part.value) for part in subject] != [(x509.NameOID.COMMON_NAME, thing_name)]:
        raise _invalid("csr.subject", name=thing_name)
    is_strong = (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in CURVES) or (
        isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS
    )
    if not is_strong:
        raise _invalid("csr.weak")
    return read.public_bytes(serialization.Encoding.PEM).decode("ascii")


def facts(certificate: str) -> CertificateFacts:
    """What identifies a certificate in PEM. Raises ValueError for what is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes

    read = x509.load_pem_x509_certificate(certificate.encode("ascii"))
    return CertificateFacts(
        read.fingerprint(hashes.SHA256()).hex(),
        f"{read.serial_number:x}",
        read.not_valid_after_utc,
    )


def _invalid(key: str, **params: object) -> Invalid:
    message = text(key, **params)
    return Invalid(text("problem.invalid.detail"), (("body.csr", message),))
