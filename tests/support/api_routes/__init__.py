"""Every route of the API, with how it is called and who gets what: one entry a route.

The tests of access, of shapes, of documents and of examples all read this table; a route without
an entry fails them. To add one, put an ``Entry`` into the file of its subject here (a new subject:
a file with ``ENTRIES``, named in ``SUBJECTS``):

    Entry("GET", "/api/devices/{device_id}", "everyone", make=_device, objects=("path.device_id",))

- ``who`` may call it, said here once more, apart from the route: the two must agree;
- ``make(world, tenant)`` gives a call about this tenant's objects that succeeds. It runs before
  each call, so a route that deletes gets something fresh to delete: make it there
  (``with world.connect() as connection``: an administrator's), with a name of its own
  (``fresh("probe")``), and belonging to ``tenant``;
- ``status`` is what that call answers;
- ``objects`` are the places in the call that name an object of a tenant. The tests put the other
  tenant's object there and want 404 (or ``foreign``, or ``foreign_at`` for one place). A variable
  of the path that names no tenant's object stands in ``shared`` instead;
- ``unchosen`` is what internal_ops get who chose no tenant, where that is not a success.

Beyond the status, the tests hold every answer in acme's sight against all that the database holds
of globex, and compare globex's rows before and after: nothing of it may be said, nothing changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tests.support.api_routes import (
    audit,
    auth,
    commands,
    data,
    dead_letters,
    devices,
    exports,
    health,
    ops,
    templates,
    tenants,
    users,
)
from tests.support.api_routes.entry import Entry, Key, Request

SUBJECTS: Final = (
    health,
    auth,
    tenants,
    users,
    templates,
    devices,
    data,
    commands,
    exports,
    dead_letters,
    audit,
    ops,
)

_all: Final = [entry for subject in SUBJECTS for entry in subject.ENTRIES]
ENTRIES: Final[Mapping[Key, Entry]] = {entry.key: entry for entry in _all}
"""Every entry by (method, path)."""
assert len(_all) == len(ENTRIES), "a route has two entries"

__all__ = ["ENTRIES", "Entry", "Key", "Request"]
