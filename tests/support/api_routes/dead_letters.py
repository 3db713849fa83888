"""Dead letters."""

from __future__ import annotations

import hashlib

from tests.support.api_routes.entry import Entry, Request
from tests.support.api_routes.fresh import fresh
from tests.unit.api.support import Tenant, World


def _letter(world: World, tenant: Tenant) -> Request:
    topic = f"traksense/{tenant.slug}/plant/{fresh('lost')}/telem"
    with world.connect() as connection:
        row = connection.execute(
            "INSERT INTO public.ingest_errors (fingerprint, received_at, last_received_at,"
            " tenant_id, topic, reason, detail, payload)"
            " VALUES (%s, now(), now(), %s, %s, 'bad_json', 'x', 'x') RETURNING id",
            (hashlib.sha256(topic.encode()).digest(), tenant.id, topic),
        ).fetchone()
    assert row is not None
    return Request(body={"ids": [row[0]]})


ENTRIES = (
    Entry("GET", "/api/dlq", "ops"),
    Entry("POST", "/api/dlq/replay", "ops", make=_letter, objects=("body.ids.0",)),
)
