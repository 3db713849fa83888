"""Certificates of devices in PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

import msgspec

from traksense.contracts.things import Thing
from traksense.contracts.topics import normalise_mac
from traksense.db import queries
from traksense.db.connection import Database
from traksense.services.things import Certificate, DeviceThing, Note


class SqlCertificateStore:
    """Implements ``traksense.services.things.CertificateStore``."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._queries = queries.load("certificates")

    def things(self, tenant_id: UUID, device_ids: Collection[UUID]) -> Sequence[DeviceThing]:
        """Those of the devices that there are."""
        parameters = {"tenant_id": tenant_id, "device_ids": list(device_ids)}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            rows = cursor.execute(self._queries["things"], parameters).fetchall()
        return [
            DeviceThing(
                device_id=device_id,
                thing=Thing(tenant, site, name, None if mac is None else normalise_mac(mac)),
                status=status,
                is_child=is_child,
                has_children=has_children,
                certificates=tuple(msgspec.convert(certificates, list[Certificate])),
            )
            for device_id, tenant, site, name, mac, status, is_child, has_children, certificates
            in rows
        ]  # fmt: skip

    def note(self, tenant_id: UUID, notes: Sequence[Note], most: int) -> frozenset[str]:
        """Note certificates as pending; the ids of those that were."""
        if not notes:
            return frozenset()
        rows = [
            {
                "device_id": note.device_id,
                "thing_name": note.thing_name,
                "certificate_id": note.issued.certificate_id,
                "arn": note.issued.arn,
                "fingerprint": note.facts.fingerprint,
                "serial_number": note.facts.serial_number,
                "expires_at": note.facts.expires_at,
            }
            for note in notes
        ]
        parameters = {
            "tenant_id": tenant_id,
            "device_ids": [note.device_id for note in notes],
            "rows": msgspec.json.encode(rows).decode("utf-8"),
            "most": most,
        }
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries["lock_devices"], parameters)
            noted = cursor.execute(self._queries["note_certificates"], parameters).fetchall()
        return frozenset(certificate_id for (certificate_id,) in noted)

    def activate(self, tenant_id: UUID, certificate_ids: Collection[str]) -> frozenset[str]:
        """Note pending ones as active; those that still were pending."""
        if not certificate_ids:
            return frozenset()
        parameters = {"tenant_id": tenant_id, "certificate_ids": list(certificate_ids)}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            rows = cursor.execute(self._queries["activate_certificates"], parameters).fetchall()
        return frozenset(certificate_id for (certificate_id,) in rows)

    def revoke(self, tenant_id: UUID, certificate_ids: Collection[str]) -> None:
        """Note as revoked."""
        if not certificate_ids:
            return
        parameters = {"tenant_id": tenant_id, "certificate_ids": list(certificate_ids)}
        with self._database.transaction("traksense_app", tenant_id) as cursor:
            cursor.execute(self._queries["revoke_certificates"], parameters)
