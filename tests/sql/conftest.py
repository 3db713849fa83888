"""Services over a real database, as their functions build them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.support import fleet
from traksense import vendors
from traksense.db.connection import Database
from traksense.db.directory import SqlDirectoryLoader
from traksense.db.ingest_store import SqlReadingStore
from traksense.services.acceptance import Acceptance
from traksense.services.directory import Directory
from traksense.services.ingest import IngestService


@pytest.fixture
def seeded(database_url: str) -> fleet.Seeded:
    """A database with two tenants."""
    return fleet.seed(database_url)


def ingest_service(url: str, slice_size: int = 2000) -> IngestService:
    """The ingest service, wired as in its function."""
    database = Database(url)
    return IngestService(
        Directory(SqlDirectoryLoader(database)),
        Acceptance(vendors.decode, timedelta(days=14), vendors.snapshot),
        SqlReadingStore(database),
        slice_size=slice_size,
        release=database.close,
    )


@pytest.fixture
def ingest(database_url: str, seeded: fleet.Seeded) -> Iterator[IngestService]:
    """The ingest service over the two tenants."""
    service = ingest_service(database_url)
    yield service
    service.close()
