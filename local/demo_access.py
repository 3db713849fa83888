"""What people and devices of the demo get in with: users in the pool, certificates, endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .endpoints import DeviceEndpoint, GatewayEndpoint, UserEndpoint
from .environment import RunFacts

if TYPE_CHECKING:
    from .certificates import CertificateAuthority
    from .demo.seed import DemoDevice, DemoFleet
    from .home import Home


def ensure_people(
    facts: RunFacts, home: Home, fleet: DemoFleet | None, admin_url: str
) -> list[UserEndpoint]:
    """Make the demo's users where they are missing; without the demo only the operators.

    Somebody must be able to log in, or nothing could ever be set up. Raises botocore's errors,
    and DatabaseAway.
    """
    import boto3
    from botocore.config import Config

    from .demo.catalogue import load
    from .demo.seed import DemoUser
    from .demo.users import ensure_users, mirror_users

    if fleet is not None:
        users: Sequence[DemoUser] = fleet.users
    else:
        users = [
            DemoUser(user.email, user.name, user.role, None, None)
            for user in load().users
            if user.tenant is None
        ]
    client = boto3.client(
        "cognito-idp",
        endpoint_url=facts.aws_url,
        region_name="us-east-1",
        aws_access_key_id=facts.access_key,
        aws_secret_access_key=facts.secret_key,
        config=Config(retries={"total_max_attempts": 3}, connect_timeout=5, read_timeout=20),
    )
    logins = ensure_users(client, facts.pool.user_pool_id, users, home.secrets())
    mirror_users(admin_url, users, logins)
    return [UserEndpoint(login.email, login.password, login.role, login.tenant) for login in logins]


def device_endpoints(
    authority: CertificateAuthority, fleet: DemoFleet | None
) -> list[DeviceEndpoint]:
    """The demo's devices with their certificates, made where they are missing."""
    if fleet is None:
        return []
    from .demo.catalogue import load

    points = {
        template.code: tuple(point.name for point in template.points)
        for template in load().templates
    }
    return [_endpoint(authority, device, points.get(device.template)) for device in fleet.devices]


def _endpoint(
    authority: CertificateAuthority, device: DemoDevice, points: tuple[str, ...] | None
) -> DeviceEndpoint:
    pair = authority.device_certificate(f"{device.tenant}_{device.name}")
    gateway = None
    if device.mac is not None or device.children:
        gateway = GatewayEndpoint(device.mac, tuple(child.code for child in device.children))
    return DeviceEndpoint(
        tenant=device.tenant,
        site=device.site,
        name=device.name,
        cert=str(pair.certificate),
        key=str(pair.key),
        simulated=device.simulated,
        template=device.template,
        gateway=gateway,
        points=points,
    )
