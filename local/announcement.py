"""What ``make run`` tells a person once everything is up."""

from __future__ import annotations

from .endpoints import Endpoints
from .home import Home


def summary(endpoints: Endpoints, home: Home) -> str:
    """What a person needs to begin with."""
    rows = [
        "",
        f"  Web    {endpoints.api_url}",
        f"  MQTT   mqtts://{endpoints.mqtt.host}:{endpoints.mqtt.port}  (CA {endpoints.mqtt.ca})",
        f"  Mail   {endpoints.mailbox_url}",
        f"  Files  {home.endpoints_file}",
        f"         {home.log_file}",
        "",
    ]
    width = max((len(user.email) for user in endpoints.users), default=0)
    for user in endpoints.users:
        rows.append(
            f"  {user.email:<{width}}  {user.password}  {user.role}"
            + (f" of {user.tenant}" if user.tenant else "")
        )
    rows += ["", "  Ctrl-C stops everything.", ""]
    return "\n".join(rows)
