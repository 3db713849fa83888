"""The data model's page against the catalogue of a migrated database."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from traksense.db.queries import sql_directory

# What TimescaleDB has instead of partitions is its own.
pytestmark = pytest.mark.engine("plain")

PAGE = (sql_directory().parent / "docs" / "reference" / "data-model.md").read_text("utf-8")
DIAGRAM = PAGE.partition("```mermaid\nerDiagram\n")[2].partition("```")[0]

SHORT_TYPES = {
    "timestamp with time zone": "timestamptz",
    "double precision": "float8",
    "double precision[]": "float8[]",
    "timestamp with time zone[]": "timestamptz[]",
    '"char"[]': "char[]",  # the one-byte type; quotes have no place in the diagram
}

Columns = dict[str, list[str]]

COLUMNS = """
SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod),
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'p'
               AND a.attnum = ANY (k.conkey)),
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
               AND a.attnum = ANY (k.conkey)),
       EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'u'
               AND k.conkey = ARRAY[a.attnum])
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND NOT c.relispartition
ORDER BY c.oid, a.attnum
"""

REFERENCES = """
SELECT DISTINCT confrelid::regclass::text, conrelid::regclass::text
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
WHERE k.contype = 'f' AND c.relnamespace = 'public'::regnamespace AND NOT c.relispartition
"""


@pytest.fixture(scope="module")
def catalogue(module_database_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(module_database_url) as connection:
        yield connection


def columns_in_the_database(catalogue: psycopg.Connection[Any]) -> Columns:
    found: Columns = {}
    for table, column, kind, primary, foreign, unique in catalogue.execute(COLUMNS):
        marks = [m for m, is_so in (("PK", primary), ("FK", foreign), ("UK", unique)) if is_so]
        line = f"{SHORT_TYPES.get(kind, kind)} {column} {', '.join(marks)}".rstrip()
        found.setdefault(table, []).append(line)
    return found


def columns_on_the_page() -> Columns:
    return {
        match[1]: [line.strip() for line in match[2].strip().splitlines()]
        for match in re.finditer(r"^    (\w+) \{\n(.*?)^    \}$", DIAGRAM, re.DOTALL | re.MULTILINE)
    }


def lines_on_the_page(stroke: str) -> list[tuple[str, str]]:
    pattern = rf"^    (\w+) [|}}o]+{re.escape(stroke)}[|{{o]+ (\w+) : "
    return re.findall(pattern, DIAGRAM, re.MULTILINE)


def as_mermaid(columns: Columns) -> str:
    return "\n".join(
        f"    {table} {{\n" + "".join(f"        {line}\n" for line in lines) + "    }"
        for table, lines in columns.items()
    )


def test_the_diagram_has_every_table_with_its_columns_types_and_keys(
    catalogue: psycopg.Connection[Any],
) -> None:
    expected = columns_in_the_database(catalogue)
    assert expected.keys() >= {"tenants", "devices", "points", "dim_point", "m_raw"}
    assert columns_on_the_page() == expected, f"it should be\n{as_mermaid(expected)}"


def test_a_solid_line_is_a_foreign_key_and_each_foreign_key_has_one(
    catalogue: psycopg.Connection[Any],
) -> None:
    references = {(parent, child) for parent, child in catalogue.execute(REFERENCES)}
    # A composite key through the device says the tenant as well; the picture draws it once.
    drawn = lines_on_the_page("--")
    assert len(drawn) == len(set(drawn))
    assert set(drawn) == references


def test_a_dotted_line_joins_tables_that_no_foreign_key_joins(
    catalogue: psycopg.Connection[Any],
) -> None:
    references = {(parent, child) for parent, child in catalogue.execute(REFERENCES)}
    tables = columns_in_the_database(catalogue).keys()
    dotted = lines_on_the_page("..")
    assert dotted
    for parent, child in dotted:
        assert {parent, child} <= tables
        assert (parent, child) not in references


def test_every_line_of_the_diagram_is_understood() -> None:
    relations = len(lines_on_the_page("--")) + len(lines_on_the_page(".."))
    lines = [line for line in DIAGRAM.splitlines() if line.strip()]
    entities = columns_on_the_page()
    assert len(lines) == relations + sum(2 + len(columns) for columns in entities.values())


def test_every_table_and_view_is_explained(catalogue: psycopg.Connection[Any]) -> None:
    explained = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    existing = {
        name
        for (name,) in catalogue.execute(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relkind IN ('r', 'p', 'v', 'm') AND NOT relispartition"
        )
    }
    assert explained == existing
