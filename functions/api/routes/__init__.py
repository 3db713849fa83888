"""One blueprint per subject; ``ALL`` is what the app registers."""

from __future__ import annotations

from typing import Final

from functions.api.routes import (
    audit,
    auth,
    certificates,
    commands,
    dashboards,
    data,
    dead_letters,
    device_import,
    device_writes,
    devices,
    erasures,
    exports,
    health,
    ops,
    schema,
    sites,
    templates,
    tenants,
    users,
)

ALL: Final = (
    health.blueprint,
    schema.blueprint,
    auth.blueprint,
    tenants.blueprint,
    users.blueprint,
    erasures.blueprint,
    sites.blueprint,
    templates.blueprint,
    devices.blueprint,
    device_writes.blueprint,
    device_import.blueprint,
    dashboards.blueprint,
    certificates.blueprint,
    data.blueprint,
    commands.blueprint,
    exports.blueprint,
    dead_letters.blueprint,
    audit.blueprint,
    ops.blueprint,
)
