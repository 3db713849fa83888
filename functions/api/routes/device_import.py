"""Devices out of CSV files."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint

from functions.api.auditing import Audited
from functions.api.models.device_import import ImportAnswer, ImportedAnswer, ImportParams
from functions.api.models.devices import TemplateAnswer
from functions.api.routing import CSV, OPS, Call, route
from traksense.services.device_import import Imported

blueprint: Final = Blueprint(__name__)

LARGEST_FILE: Final = 4 * 1024 * 1024
"""Bytes: 10,000 rows of 400, and well below what Lambda takes."""


@route(
    blueprint,
    "POST",
    "/api/devices/import",
    roles=OPS,
    audit=Audited("devices.import"),
    params=ImportParams,
    text_body=CSV,
    max_body_bytes=LARGEST_FILE,
    response=ImportAnswer,
)
def import_devices(call: Call[ImportParams, str]) -> ImportAnswer:
    """Makes the devices of a CSV file in the chosen tenant: all of them, or none."""
    dry_run = call.params.dry_run
    made = call.services.device_import.run(call.scope, call.body, dry_run=dry_run)
    return ImportAnswer(
        dry_run=dry_run,
        devices=len(made),
        points=sum(each.device.points for each in made),
        items=[_item(each, dry_run=dry_run) for each in made],
    )


def _item(imported: Imported, *, dry_run: bool) -> ImportedAnswer:
    made, asked = imported.device, imported.device.asked
    return ImportedAnswer(
        line=imported.line,
        id=None if dry_run else made.id,
        name=asked.name,
        site=asked.site,
        template=TemplateAnswer(code=asked.template, version=made.version),
        gateway=asked.gateway,
        points=made.points,
        contracted=made.points if asked.points is None else len(set(asked.points)),
    )
