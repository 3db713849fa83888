"""A fleet in the database and the messages it sends: 500 chillers of 10 points each."""

from __future__ import annotations

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from traksense.contracts import rules
from traksense.contracts.topics import Channel, device_topic

DEVICES: Final = 500
POINTS: Final = 10

_SETUP: Final = """
WITH tenant AS (
    INSERT INTO public.tenants (slug, name) VALUES ('acme', 'Acme') RETURNING id
), site AS (
    INSERT INTO public.sites (tenant_id, slug, name) SELECT id, 'plant', 'Plant' FROM tenant
    RETURNING id, tenant_id
), template AS (
    INSERT INTO public.device_templates (code, version, name, published_at)
    VALUES ('bench', 1, 'Bench', now()) RETURNING id
)
SELECT site.tenant_id, site.id, template.id FROM site, template
"""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The keys of every point, in the order that the devices name them."""

    tenant_id: UUID
    device_ids: list[UUID]
    point_ids: list[UUID]
    point_sks: list[int]


def create(url: str) -> Fleet:
    """Put the fleet into a migrated database."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_SETUP).fetchone()
        assert row is not None
        tenant_id, site_id, template_id = row
        connection.execute(
            "INSERT INTO public.devices (tenant_id, site_id, template_id, name)"
            " SELECT %s, %s, %s, 'chiller-' || n FROM generate_series(1, %s) n",
            (tenant_id, site_id, template_id, DEVICES),
        )
        connection.execute(
            "INSERT INTO public.points (tenant_id, device_id, name, type, unit)"
            " SELECT tenant_id, id, 'p' || n, 'num', '°C' FROM public.devices,"
            " generate_series(0, %s) n ORDER BY devices.name, n",
            (POINTS - 1,),
        )
        rows = connection.execute(
            "SELECT d.device_id, d.point_id, d.point_sk FROM public.dim_point d"
            " JOIN public.points p ON p.id = d.point_id"
            " JOIN public.devices v ON v.id = p.device_id"
            " ORDER BY substr(v.name, 9)::int, p.name"
        ).fetchall()
    return Fleet(tenant_id, *(list(column) for column in zip(*rows, strict=True)))


def event(start: datetime, messages: int, step: timedelta, seed: int) -> bytes:
    """An SQS event of so many messages as Lambda receives it: JSON bytes.

    Each message is one device's next reading of its 10 points, two decimals a value; a device
    comes again every ``DEVICES`` messages, a ``step`` later.
    """
    values = random.Random(seed)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    records = []
    for number in range(messages):
        device = number % DEVICES + 1
        ts = start + number // DEVICES * step
        payload = {
            "schema": "v1",
            "ts": ts.isoformat().replace("+00:00", "Z"),
            "points": [
                {"name": f"p{n}", "t": "float", "v": round(values.uniform(-20, 90), 2), "u": "°C"}
                for n in range(POINTS)
            ],
        }
        topic = device_topic("acme", "plant", f"chiller-{device}", Channel.TELEM)
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        body = rules.project(text.encode(), str(topic), topic.thing_name, now_ms)
        records.append(record(f"{seed}-{number}", body, now_ms))
    return json.dumps({"Records": records}).encode()


def record(message_id: str, body: str, sent_ms: int) -> dict[str, Any]:
    """One SQS record, with all the fields that Lambda passes."""
    return {
        "messageId": message_id,
        "receiptHandle": "AQEB" + "x" * 180,
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": str(sent_ms),
            "SenderId": "AROAEXAMPLE:iot",
            "ApproximateFirstReceiveTimestamp": str(sent_ms),
        },
        "messageAttributes": {},
        "md5OfBody": "0" * 32,
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:ingest",
        "awsRegion": "us-east-1",
    }
