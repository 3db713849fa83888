"""From where a request came: the caller's address, and whether it came the way it has to. Pure.

Behind CloudFront the peer of API Gateway is an edge of CloudFront. It adds the viewer's address,
and a secret that only it and we know: without the secret, a header says nothing.
"""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

SECRET_HEADER: Final = "x-origin-secret"  # noqa: S105 - a name
ADDRESS_HEADER: Final = "x-viewer-address"
"""Set by the function at the edge, over whatever the viewer sent under that name (ADR 30)."""

_IPV6_NETWORK: Final = 64


@dataclass(frozen=True, slots=True)
class Origin:
    """What makes a header believable. Without secrets: requests come directly."""

    secrets: tuple[str, ...] = field(default=(), repr=False)

    def admits(self, headers: Mapping[str, str]) -> bool:
        """Whether a request came the way it has to."""
        if not self.secrets:
            return True
        given = headers.get(SECRET_HEADER, "").encode("utf-8", "replace")
        return any(hmac.compare_digest(given, secret.encode()) for secret in self.secrets)

    def address(self, headers: Mapping[str, str], peer: str | None) -> str | None:
        """The caller's address, of a request that was admitted; None: it cannot be read."""
        if self.secrets and (given := headers.get(ADDRESS_HEADER)) is not None:
            return _address(given.strip())
        return _address(peer or "")


def network_of(address: str) -> str:
    """What counts as one caller: an IPv4 address, or the network that an IPv6 one is given in."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))


def _address(text: str) -> str | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return str(mapped or parsed)


DIRECT: Final = Origin()
"""Nothing stands before us whose word would count."""
