"""What the catalogue holds, and which of it a role gets at that it should not.

Everything comes from the catalogue: tables, partitions, chunks and what they are compressed into,
views and those that continuous aggregates are made of, sequences and functions, in every schema
but the server's own. What an extension brought (``pg_depend.deptype = 'e'``) is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

import psycopg
from psycopg import sql

APP: Final = "traksense_app"
READONLY: Final = "traksense_readonly"
OPS: Final = "traksense_ops"
INGEST: Final = "traksense_ingest"
ROLES: Final = (APP, READONLY, OPS, INGEST)
TENANT_ROLES: Final = (APP, READONLY)

NOBODY: Final[frozenset[str]] = frozenset()
EVERYBODY: Final = frozenset(ROLES)
BY_INGEST: Final = frozenset({INGEST})

FUNCTIONS: Final[Mapping[str, frozenset[str]]] = {
    "add_device_state": NOBODY,
    "add_dim_point": NOBODY,
    "add_late_readings": BY_INGEST,
    "add_messages": BY_INGEST,
    "await_writers": NOBODY,
    "begin_closing": NOBODY,
    "begin_erasure": frozenset({OPS}),
    "begin_rewrite": NOBODY,
    "build_again": NOBODY,
    "build_segments": NOBODY,
    "build_slice": NOBODY,
    "byte_planes": NOBODY,
    "catch_up": NOBODY,
    "check_added_templates": NOBODY,
    "check_site_slug": NOBODY,
    "check_template_code": NOBODY,
    "check_template_tenant": NOBODY,
    "check_tenant_slug": NOBODY,
    "closable_days": NOBODY,
    "current_tenant_id": EVERYBODY,
    "decode_segment": NOBODY,
    "drop_letter_of_the_erased": NOBODY,
    "drop_oldest": NOBODY,
    "due_chunks": NOBODY,
    "encode_segment": NOBODY,
    "ensure_message_partition": NOBODY,
    "ensure_raw_partitions": BY_INGEST,
    "ensure_rollup_partitions": NOBODY,
    "erase_configuration": NOBODY,
    "erase_dead_letters": NOBODY,
    "erase_messages": NOBODY,
    "erase_readings": NOBODY,
    "erase_rollups": NOBODY,
    "erasure_leftovers": NOBODY,
    "find_export_link": frozenset({APP}),
    "finish_closing": NOBODY,
    "finish_rewrite": NOBODY,
    "late_days": NOBODY,
    "latest_readings": frozenset({APP}),
    "forget_dim_points": NOBODY,
    "level_chunks": NOBODY,
    "level_table": NOBODY,
    "list_for_erasure": NOBODY,
    "list_closed_days": BY_INGEST,
    "lock_day": NOBODY,
    "lock_messages": NOBODY,
    "merge_late": NOBODY,
    "next_index_step": NOBODY,
    "message_id": NOBODY,
    "note_config_change": NOBODY,
    "note_rollup_change": NOBODY,
    "pack_messages": NOBODY,
    "partition_bounds": NOBODY,
    "purge_audit_log": NOBODY,
    "purge_dead_letters": NOBODY,
    "purge_device_minutes": NOBODY,
    "purge_request_quotas": NOBODY,
    "raise_config_epoch": frozenset({OPS}),
    "refuse_change": NOBODY,
    "refuse_closed_day": NOBODY,
    "refuse_published_change": NOBODY,
    "refuse_published_point": NOBODY,
    "request_lease": frozenset({APP, OPS}),
    "rewrite_slice": NOBODY,
    "rollup_start": NOBODY,
    "rollup_watermark": BY_INGEST,
    "running_transactions": NOBODY,
    "seal_rollups": NOBODY,
    "storage_engine": NOBODY,
    "summarize_pages": NOBODY,
    "telemetry_days": NOBODY,
    "tenants_tables": NOBODY,
    "unpacked_days": NOBODY,
    "utc_midnight": NOBODY,
}
"""Who may execute each function of ours, on either engine. Whoever adds one says so here."""

SHARED: Final = frozenset(
    {"public.device_templates", "public.point_templates", "public.config_epochs"}
)
"""Rows without a tenant in these are everybody's to read."""
OPS_READS: Final = frozenset(
    f"public.{name}"
    for name in (
        "tenants", "sites", "device_templates", "point_templates", "devices", "points",
        "device_state", "device_events", "device_alarms", "ingest_errors", "rollup_state",
        "audit_log", "request_quotas",
        "config_epochs", "release_jobs",
        "users", "tenant_tombstones", "device_certificates",
        "erasures", "exports", "export_chunks",
    )
)  # fmt: skip
"""What internal_ops read of all tenants. Readings are not among it."""
INGEST_READS: Final = frozenset(
    {
        "public.ingest_devices",
        "public.ingest_points",
        "public.device_state",
        "public.config_epochs",
        "public.device_minutes",
    }
)
"""Names, and its own bookkeeping."""
WRITES: Final[Mapping[str, Mapping[str, frozenset[str]]]] = {
    "public.tenants": {OPS: frozenset({"INSERT", "UPDATE", "DELETE"})},
    "public.device_templates": {OPS: frozenset({"INSERT", "UPDATE", "DELETE"})},
    "public.point_templates": {OPS: frozenset({"INSERT", "UPDATE", "DELETE"})},
    **{
        f"public.{name}": {role: frozenset({"INSERT", "UPDATE", "DELETE"}) for role in (APP, OPS)}
        for name in ("sites", "devices", "points", "users")
    },
    "public.device_certificates": {APP: frozenset({"INSERT", "UPDATE"})},
    "public.device_state": {INGEST: frozenset({"UPDATE"})},
    "public.device_minutes": {INGEST: frozenset({"INSERT", "UPDATE"})},
    "public.device_events": {INGEST: frozenset({"INSERT"})},
    "public.device_alarms": {INGEST: frozenset({"INSERT"})},
    "public.audit_log": {role: frozenset({"INSERT"}) for role in (APP, OPS)},
    "public.request_quotas": {role: frozenset({"INSERT", "UPDATE"}) for role in (APP, OPS)},
    "public.ingest_errors": {
        INGEST: frozenset({"INSERT", "UPDATE"}),
        OPS: frozenset({"UPDATE"}),
    },
    "public.commands": {
        APP: frozenset({"INSERT", "UPDATE"}),
        INGEST: frozenset({"UPDATE"}),
    },
    "public.exports": {APP: frozenset({"INSERT", "UPDATE"})},
    "public.export_chunks": {APP: frozenset({"INSERT", "UPDATE", "DELETE"})},
    "public.export_links": {APP: frozenset({"INSERT"})},
    "public.m_raw": {INGEST: frozenset({"INSERT"})},
    "public.rollup_dirty": {INGEST: frozenset({"INSERT"})},
}
"""Who may change what; nobody may change anything else."""

_OURS: Final = (
    " n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS ("
    " SELECT FROM pg_catalog.pg_depend d WHERE d.classid = {catalogue}::regclass"
    " AND d.objid = c.oid AND d.deptype = 'e')"
)
_RELATIONS: Final = (
    "SELECT n.nspname, c.relname, c.oid FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND"
    + _OURS.format(catalogue="'pg_class'")
    + " ORDER BY 1, 2"
)
_SEQUENCES: Final = (
    "SELECT n.nspname || '.' || c.relname, r, p FROM pg_catalog.pg_class c"
    " JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace,"
    " unnest(%s::text[]) AS r, unnest(ARRAY['USAGE', 'SELECT', 'UPDATE']) AS p"
    " WHERE c.relkind = 'S' AND pg_catalog.has_sequence_privilege(r, c.oid, p) AND"
    + _OURS.format(catalogue="'pg_class'")
)
_FUNCTIONS: Final = (
    "SELECT c.proname, c.oid::regprocedure::text,"
    # Of a strict function NULL is made without a call.
    " c.prokind = 'f' AND NOT c.proisstrict, c.prosecdef,"
    " coalesce('search_path=pg_catalog' = ANY (c.proconfig), false),"
    " ARRAY(SELECT r FROM unnest(%s::text[]) AS r"
    "       WHERE pg_catalog.has_function_privilege(r, c.oid, 'EXECUTE')), n.nspname,"
    " (SELECT coalesce(string_agg('NULL::' || pg_catalog.format_type(a, NULL), ', '), '')"
    "  FROM unnest(c.proargtypes) AS a)"
    " FROM pg_catalog.pg_proc c JOIN pg_catalog.pg_namespace n ON n.oid = c.pronamespace WHERE"
    + _OURS.format(catalogue="'pg_proc'")
    + " ORDER BY 1"
)
_OF_TENANTS: Final = (
    "SELECT c.oid::regclass::text, c.relkind = 'v', c.relrowsecurity AND c.relforcerowsecurity,"
    " coalesce('security_barrier=true' = ANY (c.reloptions), false)"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid"
    " AND a.attname = 'tenant_id' JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v') AND" + _OURS.format(catalogue="'pg_class'")
)
_COMPRESSED: Final = ("_compressed_hypertable_", "compress_hyper_")
_WRITABLE: Final = (
    "SELECT r, p FROM unnest(%(roles)s::text[]) AS r,"
    " unnest(ARRAY['INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p"
    " WHERE CASE WHEN p IN ('INSERT', 'UPDATE', 'REFERENCES')"
    "            THEN pg_catalog.has_any_column_privilege(r, %(oid)s::oid, p)"
    "            ELSE pg_catalog.has_table_privilege(r, %(oid)s::oid, p) END"
)
_CHUNKS_OF_READINGS: Final = (
    "SELECT i.inhrelid FROM pg_catalog.pg_inherits i"
    " WHERE i.inhparent = 'public.m_raw'::regclass AND NOT (SELECT relispartition"
    "  FROM pg_catalog.pg_class WHERE oid = i.inhrelid)"
)


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or view of ours."""

    schema: str
    table: str
    oid: int

    @property
    def name(self) -> str:
        """With its schema."""
        return f"{self.schema}.{self.table}"


def relations(connection: psycopg.Connection[Any]) -> list[Relation]:
    """Every table, partition, chunk and view."""
    return [Relation(*row) for row in connection.execute(_RELATIONS.encode())]


def read(
    connection: psycopg.Connection[Any], role: str, relation: Relation, tenant: UUID | None
) -> list[dict[str, Any]] | None:
    """All rows of a relation in the sight of a role and tenant; None where that is forbidden."""
    is_forbidden = False
    with connection.transaction(force_rollback=True):
        connection.execute(
            "SELECT set_config('role', %s, true), set_config('app.tenant_id', %s, true)",
            (role, "" if tenant is None else str(tenant)),
        )
        try:
            rows = connection.execute(
                sql.SQL("SELECT to_jsonb(r)::text FROM {} r").format(
                    sql.Identifier(relation.schema, relation.table)
                )
            ).fetchall()
        except psycopg.errors.InsufficientPrivilege:
            return None
        except psycopg.errors.DataCorrupted:
            # The table above compressed chunks is empty, and no query of it gets past the planner,
            # whoever asks. The chunks are tried one by one.
            if not relation.table.startswith(_COMPRESSED[0]):
                raise
            is_forbidden = True
    if is_forbidden:
        assert not has_select(connection, role, relation), relation.name
        return None
    return [json.loads(text) for (text,) in rows]


def has_select(connection: psycopg.Connection[Any], role: str, relation: Relation) -> bool:
    """Whether a role may read a relation, or a column of it, as the catalogue says."""
    row = connection.execute(
        "SELECT has_any_column_privilege(%s, %s::oid, 'SELECT')", (role, relation.oid)
    ).fetchone()
    return row != (False,)


def owner_of(relation: Relation, row: dict[str, Any]) -> str | None:
    """The tenant that a row belongs to."""
    owner: str | None = row["id"] if relation.name == "public.tenants" else row.get("tenant_id")
    return owner


def reading_complaints(
    connection: psycopg.Connection[Any], tenants: Mapping[str, UUID]
) -> Iterator[str]:
    """Rows that somebody sees and should not, and relations that nothing was proved with."""
    for relation in relations(connection):
        for role in ROLES:
            for tenant in (*tenants.values(), None):
                rows = read(connection, role, relation, tenant)
                if rows is not None:
                    for what in _seen(role, relation, tenant, rows, tenants):
                        yield f"{role} for {tenant}: {relation.name} {what}"


def _seen(
    role: str,
    relation: Relation,
    tenant: UUID | None,
    rows: list[dict[str, Any]],
    tenants: Mapping[str, UUID],
) -> Iterator[str]:
    if role == INGEST:
        if relation.name not in INGEST_READS:
            yield "can be read, and is on no list"
        return
    if role == OPS and relation.name in OPS_READS:
        return
    mine = None if tenant is None else str(tenant)
    others = {str(each) for each in tenants.values()} - {mine}
    if not rows and tenant is not None:
        yield "has no row to prove anything with"
    for row in rows:
        owner = owner_of(relation, row)
        if owner is None and relation.name in SHARED:
            continue
        if owner is None or owner != mine or any(other in json.dumps(row) for other in others):
            yield f"shows a row of another or of nobody: {row}"


def writing_complaints(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Privileges to change something that no list allows."""
    chunks = {oid for (oid,) in connection.execute(_CHUNKS_OF_READINGS.encode())}
    for relation in relations(connection):
        # A chunk, and what it is compressed into, is made with the privileges of its table.
        is_part = relation.oid in chunks or relation.table.startswith(_COMPRESSED)
        allowed = WRITES.get("public.m_raw" if is_part else relation.name, {})
        found = connection.execute(
            _WRITABLE.encode(), {"roles": list(ROLES), "oid": relation.oid}
        ).fetchall()
        for role, privilege in found:
            if privilege not in allowed.get(role, NOBODY):
                yield f"{role} may {privilege} {relation.name}"


def protection_complaints(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Tables with rows of tenants without forced row security, tenants' views without a barrier."""
    for name, is_view, is_forced, is_barrier in connection.execute(_OF_TENANTS.encode()).fetchall():
        if not is_view and not is_forced:
            yield f"{name} has rows of tenants and no forced row security"
        if is_view and not is_barrier and f"public.{name}" not in INGEST_READS:
            yield f"{name} shows rows of tenants and is no security barrier"


def function_complaints(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Functions that no list names, that others may execute than it says, or that can be led
    astray by a search path.
    """
    found = connection.execute(_FUNCTIONS.encode(), (list(ROLES),)).fetchall()
    for name, signature, is_callable, is_definer, is_pinned, roles, schema, call in found:
        if name not in FUNCTIONS:
            yield f"{signature}: nobody has said who may execute it"
            continue
        if set(roles) != FUNCTIONS[name]:
            yield f"{signature} may be executed by {sorted(roles)}"
        if is_definer and not is_pinned:
            yield f"{signature} acts for its owner without a search path of its own"
        for role in ROLES if is_callable else ():
            if role not in FUNCTIONS[name] and _executes(connection, role, schema, name, call):
                yield f"{role} executed {signature}"


def _executes(
    connection: psycopg.Connection[Any], role: str, schema: str, name: str, nulls: str
) -> bool:
    """Whether a call gets past the door, whatever becomes of it then."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute("SELECT set_config('role', %s, true)", (role,))
            connection.execute(f"SELECT {schema}.{name}({nulls})".encode())
    except psycopg.errors.InsufficientPrivilege as error:
        return f"permission denied for function {name}" not in str(error)
    except psycopg.Error:
        return True
    return True


def sequence_complaints(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Sequences that somebody may use."""
    rows = connection.execute(_SEQUENCES.encode(), (list(ROLES),)).fetchall()
    yield from (f"{role} has {privilege} on the sequence {name}" for name, role, privilege in rows)


def schema_complaints(connection: psycopg.Connection[Any]) -> Iterator[str]:
    """Schemas that somebody may make something in."""
    rows = connection.execute(
        "SELECT n.nspname, r FROM pg_catalog.pg_namespace n, unnest(%s::text[]) AS r"
        " WHERE n.nspname !~ '^pg_temp' AND pg_catalog.has_schema_privilege(r, n.oid, 'CREATE')",
        (list(ROLES),),
    ).fetchall()
    yield from (f"{role} may make something in the schema {schema}" for schema, role in rows)


def complaints(connection: psycopg.Connection[Any], tenants: Mapping[str, UUID]) -> list[str]:
    """All that is wrong."""
    return [
        *reading_complaints(connection, tenants),
        *writing_complaints(connection),
        *protection_complaints(connection),
        *function_complaints(connection),
        *sequence_complaints(connection),
        *schema_complaints(connection),
    ]
