"""Two tenants with devices of every kind, put straight into a migrated database."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from traksense.contracts import rules
from traksense.contracts.topics import Channel, device_topic
from traksense.domain import ulid

NUM, BOOL, ENUM, TEXT = "num", "bool", "enum", "text"
CHILLER_POINTS: dict[str, tuple[str, str | None, list[str] | None]] = {
    "temp": (NUM, "°C", None),
    "pressure": (NUM, "bar", None),
    "compressor_on": (BOOL, None, None),
    "mode": (ENUM, None, ["OFF", "COOL"]),
    "note": (TEXT, None, None),
}
GATEWAY_MAC = "aa:bb:cc:dd:ee:ff"
_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Seeded:
    """Ids by thing name, and point keys by (thing name, point)."""

    tenants: dict[str, UUID]
    devices: dict[str, UUID]
    points: dict[tuple[str, str], UUID]
    sks: dict[tuple[str, str], int]


def seed(url: str, keep_raw: frozenset[str] = frozenset()) -> Seeded:
    """Tenants ``acme`` and ``globex`` with three devices each, and the gateways of acme.

    ``keep_raw`` names the templates whose devices' messages are kept.
    """
    tenants: dict[str, UUID] = {}
    devices: dict[str, UUID] = {}
    with psycopg.connect(url) as connection:

        def one(query: str, *values: Any) -> Any:
            row = connection.execute(query.encode(), values).fetchone()
            assert row is not None
            return row[0]

        templates = {
            code: one(
                "INSERT INTO public.device_templates"
                " (code, version, name, adapter, keep_raw, published_at)"
                " VALUES (%s, 1, %s, %s, %s, now()) RETURNING id",
                code,
                code,
                adapter,
                code in keep_raw,
            )
            for code, adapter in {
                "chiller": None,
                "parsec": "parsec_v1",
                "je02": "je02_v1",
                "tds": "tds_v1",
                "meter": None,
                "khomp": "senml",
                "sensor": None,
            }.items()
        }
        kinds: dict[str, Mapping[str, tuple[str, str | None, list[str] | None]]] = {
            "chiller": CHILLER_POINTS,
            "parsec": {
                "status": (ENUM, None, ["RUN", "STOP"]),
                "fault": (BOOL, None, None),
                "rssi": (NUM, "dBm", None),
            },
            "je02": {"status": (ENUM, None, ["RUN", "STOP", "FAULT"]), "var0": (NUM, "°C", None)},
            "tds": {},
            "meter": {"value": (NUM, "kWh", None)},
            "khomp": {},
            "sensor": {"A_celsius": (NUM, "°C", None), "A_percent_rh": (NUM, "%", None)},
        }

        def device(
            tenant: str, site: UUID, kind: str, name: str, mac: str | None = None,
            gateway: UUID | None = None, code: str | None = None,
        ) -> UUID:  # fmt: skip
            made: UUID = one(
                "INSERT INTO public.devices (tenant_id, site_id, template_id, name, mac,"
                " gateway_id, gateway_code) VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
                tenants[tenant], site, templates[kind], name, mac, gateway, code,
            )  # fmt: skip
            devices[f"{tenant}_{name}"] = made
            for position, (point, (type_, unit, values)) in enumerate(kinds[kind].items()):
                connection.execute(
                    "INSERT INTO public.points (tenant_id, device_id, position, name, labels,"
                    " type, unit, enum_values) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
                    (
                        tenants[tenant],
                        made,
                        position,
                        point,
                        json.dumps({"pt-BR": point.title(), "en": point.upper()}),
                        type_,
                        unit,
                        values,
                    ),
                )
            return made

        for slug in ("acme", "globex"):
            tenants[slug] = one(
                "INSERT INTO public.tenants (slug, name) VALUES (%s, %s) RETURNING id",
                slug,
                slug.title(),
            )
            site = one(
                "INSERT INTO public.sites (tenant_id, slug, name) VALUES (%s, 'plant', 'Plant')"
                " RETURNING id",
                tenants[slug],
            )
            device(slug, site, "chiller", "chiller-1")
            device(slug, site, "chiller", "chiller-2")
            device(slug, site, "parsec", "parsec-1")
            device(slug, site, "je02", "je02-1")
            if slug == "acme":
                tds = device(slug, site, "tds", "tds-1", mac=GATEWAY_MAC)
                for code in ("D01", "D02"):
                    device(slug, site, "meter", f"meter-{code}", gateway=tds, code=code)
                khomp = device(slug, site, "khomp", "khomp-1")
                device(slug, site, "sensor", "sensor-1", gateway=khomp, code="4b686f6d70107115")
        rows = connection.execute(
            "SELECT t.slug || '_' || d.name, p.name, p.id, k.point_sk FROM public.points p"
            " JOIN public.devices d ON d.id = p.device_id JOIN public.tenants t"
            " ON t.id = d.tenant_id JOIN public.dim_point k ON k.point_id = p.id"
        ).fetchall()
        connection.execute(
            "SELECT public.ensure_raw_partitions(current_date - 16, current_date + 3)"
        )
    return Seeded(
        tenants,
        devices,
        {(thing, point): point_id for thing, point, point_id, _ in rows},
        {(thing, point): point_sk for thing, point, _, point_sk in rows},
    )


def now_ms() -> int:
    """Milliseconds since the Unix epoch."""
    return time.time_ns() // 1_000_000


def telem(tenant: str, device: str) -> str:
    """The telemetry topic of a device at the only site."""
    return str(device_topic(tenant, "plant", device, Channel.TELEM))


def channel(tenant: str, device: str, name: Channel) -> str:
    """A topic of a device at the only site."""
    return str(device_topic(tenant, "plant", device, name))


def record(
    topic: str, payload: bytes | dict[str, Any] | list[Any], received_at: int | None = None
) -> dict[str, Any]:
    """One SQS record as the rule makes it."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    at = now_ms() if received_at is None else received_at
    return {
        "messageId": f"m{next(_ids)}",
        "body": rules.project(raw, topic, "client", at),
        "attributes": {"SentTimestamp": str(at)},
    }


def event(*records: dict[str, Any]) -> dict[str, Any]:
    """An SQS event."""
    return {"Records": list(records)}


def normalised(ts: str, **values: float | bool | str) -> dict[str, Any]:
    """A normalised payload; a type is told from its value, a str is an enum."""
    names = {float: "float", int: "float", bool: "bool", str: "enum"}
    return {
        "schema": "v1",
        "ts": ts,
        "points": [{"name": n, "t": names[type(v)], "v": v} for n, v in values.items()],
    }


def body_payload(record_: dict[str, Any]) -> bytes:
    """The device's bytes inside a record."""
    return base64.b64decode(json.loads(record_["body"])["payload"])


def add_command(
    connection: psycopg.Connection[Any],
    seeded: Seeded,
    thing: str,
    *,
    timeout_s: float = 60,
) -> str:
    """A command to a device, published a moment ago; its ``cmd_id``."""
    made = ulid.new(datetime.now(UTC))
    connection.execute(
        "INSERT INTO public.commands (cmd_id, tenant_id, device_id, op, sent_by, created_at,"
        " expires_at, times_out_at, published_at)"
        " SELECT %s, tenant_id, id, 'reset_fault', 'somebody', now() - interval '1 hour',"
        " now() + %s * interval '1 s', now() + %s * interval '1 s', now()"
        " FROM public.devices WHERE id = %s",
        (made, timeout_s, timeout_s, seeded.devices[thing]),
    )
    return made


def add_export(connection: psycopg.Connection[Any], seeded: Seeded, tenant: str) -> UUID:
    """A finished export of a tenant, with a chunk and a link that was mailed; its id."""
    tenant_id = seeded.tenants[tenant]
    row = connection.execute(
        "INSERT INTO public.exports (tenant_id, requested_by, email, locale, range_from, range_to,"
        " agg, format, time_zone, status, record_count, file_size, file_key, file_name,"
        " started_at, finished_at, expires_at)"
        " VALUES (%(id)s, 'somebody', 'ana@' || %(slug)s || '.example', 'pt-BR',"
        " now() - interval '1 day', now(), 'raw', 'csv', 'America/Sao_Paulo', 'COMPLETED', 2, 80,"
        " %(id)s::text || '/' || %(slug)s || '.csv', %(slug)s || '.csv', now(), now(),"
        " now() + interval '1 day') RETURNING id",
        {"id": tenant_id, "slug": tenant},
    ).fetchone()
    assert row is not None
    export_id: UUID = row[0]
    points = [
        point for (thing, _), point in seeded.points.items() if thing.startswith(f"{tenant}_")
    ]
    connection.execute(
        "INSERT INTO public.export_chunks (tenant_id, export_id, attempt, number, point_ids,"
        " starts, ends, planned_rows, row_count, byte_count, sha256, staging_key, done_at)"
        " VALUES (%s, %s, 1, 0, ARRAY[%s::uuid], ARRAY[now() - interval '1 day'], ARRAY[now()],"
        " 2, 2, 80, sha256('x'), %s::text || '/staging/0000', now())",
        (tenant_id, export_id, points[0], tenant_id),
    )
    connection.execute(
        "INSERT INTO public.export_links (token_hash, tenant_id, export_id, expires_at)"
        " VALUES (sha256(%s::text::bytea), %s, %s, now() + interval '1 day')",
        (export_id, tenant_id, export_id),
    )
    return export_id
