"""A registry of things in memory, whose process can be killed before or after any step."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from traksense.contracts.things import Thing
from traksense.services.things import Endpoint, Issued, RegistryAway


class Killed(BaseException):
    """The process ended here."""


@dataclass
class Held:
    """A certificate of the registry."""

    pem: str
    is_active: bool = True
    policies: set[str] = field(default_factory=set)
    things: set[str] = field(default_factory=set)


@cache
def _authority() -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "an authority of tests")])
    return ec.generate_private_key(ec.SECP256R1()), name


@dataclass
class FakeThings:
    """Implements ``traksense.services.things.ThingRegistry``."""

    things: dict[str, dict[str, str]] = field(default_factory=dict)
    certificates: dict[str, Held] = field(default_factory=dict)
    steps: int = 0
    """Steps that were begun or done: two a call."""
    killed_at: int | None = None
    away: bool = False
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def opens(self, certificate_id: str, thing: str) -> bool:
        """Whether a certificate lets somebody in as a thing."""
        held = self.certificates.get(certificate_id)
        return (
            held is not None
            and held.is_active
            and thing in held.things
            and thing in self.things
            and "traksense-device" in held.policies
        )

    def open_for(self, thing: str) -> set[str]:
        """The certificates that let somebody in as a thing."""
        return {each for each in self.certificates if self.opens(each, thing)}

    def put_thing(self, thing: Thing) -> None:
        self._step(lambda: self.things.__setitem__(thing.name, thing.attributes))

    def issue(self, request: str) -> Issued:
        made: list[Issued] = []
        self._step(lambda: made.append(self._sign(request)))
        return made[0]

    def attach(self, thing: Thing, arn: str) -> None:
        held = self.certificates[arn.rpartition("/")[2]]
        self._step(lambda: held.policies.update(thing.policies))
        self._step(lambda: held.things.add(thing.name))

    def turn_off(self, thing: Thing, certificate_id: str, arn: str) -> None:
        held = self.certificates.get(certificate_id, Held(""))
        self._step(lambda: setattr(held, "is_active", False))
        self._step(held.policies.clear)
        self._step(lambda: held.things.discard(thing.name))

    def remove_thing(self, thing: Thing) -> None:
        if any(thing.name in held.things for held in self.certificates.values()):
            raise RegistryAway("the thing has principals")
        self._step(lambda: self.things.pop(thing.name, None))

    def endpoint(self) -> Endpoint:
        if self.away:
            raise RegistryAway("throttled")
        return Endpoint("iot.example", 8883, "an authority")

    def _step(self, work: Callable[[], object]) -> None:
        if self.away:
            raise RegistryAway("throttled")
        with self._lock:
            self._pass()
            work()
            self._pass()

    def _pass(self) -> None:
        self.steps += 1
        if self.steps == self.killed_at:
            raise Killed

    def _sign(self, request: str) -> Issued:
        key, issuer = _authority()
        read, now = x509.load_pem_x509_csr(request.encode()), datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(read.subject)
            .issuer_name(issuer)
            .public_key(read.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=3650))
            .sign(key, hashes.SHA256())
        )
        found = certificate.fingerprint(hashes.SHA256()).hex()
        pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.certificates[found] = Held(pem)
        return Issued(found, f"arn:aws:iot:us-east-1:123456789012:cert/{found}", pem)
