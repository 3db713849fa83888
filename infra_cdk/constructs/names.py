"""Names of constructs, which are in PascalCase where the contracts' are not."""

from __future__ import annotations


def pascal(name: str) -> str:
    """``device-events`` and ``device_events`` as ``DeviceEvents``."""
    return "".join(part.capitalize() for part in name.replace("-", "_").split("_"))
