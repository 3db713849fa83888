"""The name map, read for the directory in memory."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any
from uuid import UUID

from traksense.contracts.topics import normalise_mac
from traksense.db import queries
from traksense.db.connection import Database
from traksense.domain.directory import Device, Point
from traksense.services.directory import DeviceKey


class SqlDirectoryLoader:
    """Reads devices with their points, all tenants, as ``traksense_ingest``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._query = queries.load("ingest")["load_devices"]

    def load(
        self, devices: Collection[DeviceKey], macs: Collection[str]
    ) -> tuple[dict[DeviceKey, Device], dict[str, Device]]:
        """The devices of these names and the gateways of these MACs. Raises DatabaseAway."""
        with self._database.transaction("traksense_ingest") as cursor:
            cursor.execute(
                self._query,
                {
                    "tenants": [tenant for tenant, _, _ in devices],
                    "sites": [site for _, site, _ in devices],
                    "devices": [device for _, _, device in devices],
                    "macs": list(macs),
                },
            )
            rows = cursor.fetchall()
        roots: dict[UUID, tuple[Device, str | None]] = {}
        children: dict[UUID, dict[str, Device]] = {}
        for (
            root,
            device_id,
            tenant_id,
            tenant,
            site,
            name,
            mac,
            code,
            adapter,
            after,
            keep_raw,
            status,
            rate,
            points,
        ) in rows:
            family = children.setdefault(root, {})
            device = Device(
                device_id=device_id,
                tenant_id=tenant_id,
                tenant=tenant,
                site=site,
                name=name,
                adapter=adapter,
                offline_after=after,
                points={point[1]: _point(point) for point in points},
                children=family if root == device_id else {},
                keep_raw=keep_raw,
                is_retired=status == "retired",
                max_messages_per_minute=rate,
            )
            if root == device_id:
                roots[root] = (device, mac)
            else:
                family[code] = device
                family.setdefault(name, device)
        by_key = {
            (device.tenant, site, device.name): device
            for device, _ in roots.values()
            for site in (device.site, "")
        }
        by_mac = {normalise_mac(mac): device for device, mac in roots.values() if mac is not None}
        return by_key, by_mac


def _point(row: list[Any]) -> Point:
    point_sk, _, type_, unit, enum_values, is_contracted = row
    return Point(
        point_sk,
        type_,
        unit,
        None if enum_values is None else frozenset(enum_values),
        is_contracted,
    )
