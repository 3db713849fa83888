"""The pool's users, kept in the home: attributes, groups, password hashes."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from moto.cognitoidp.models import CognitoIdpUser, UserStatus

from local.errors import StartupError
from local.home import write_atomically

from .extras import Extras, extras
from .passwords import PasswordHash
from .pool import LocalUserPool, signed_out_ms

_VERSION: Final = "v1"


class UserStore:
    """One JSON file, mode 0600, replaced at once at each change."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, pool: LocalUserPool) -> None:
        """Write every user of the pool. Passwords must have been hashed before."""
        users = [_to_document(user) for user in pool.users.values()]
        document = {"users": {_VERSION: users}, "mfa": pool.mfa_config}
        write_atomically(self._path, json.dumps(document).encode())

    def load_into(self, pool: LocalUserPool) -> None:
        """Put the kept users into an empty pool. Raises StartupError on a broken file."""
        try:
            document = json.loads(self._path.read_bytes())
            pool.mfa_config = document.get("mfa", pool.mfa_config)
            for entry in document["users"][_VERSION]:
                user = _from_document(pool, entry)
                pool.users[user.username] = user
                for name in entry["groups"]:
                    group = pool.groups[name]
                    group.users.add(user)
                    user.groups.add(group)
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError) as error:
            raise StartupError(f"{self._path} is damaged: restore it or remove it") from error


def _to_document(user: CognitoIdpUser) -> dict[str, Any]:
    password: PasswordHash | None = user.password
    return {
        "sub": user.id,
        "attributes": user.attribute_lookup,
        "password": password.to_text() if password is not None else None,
        "status": UserStatus(user.status).value,
        "enabled": user.enabled,
        "created": user.create_date.isoformat(),
        "modified": user.last_modified_date.isoformat(),
        "signed_out_ms": signed_out_ms(user),
        "extras": extras(user).to_document(),
        "groups": sorted(group.group_name for group in user.groups),
    }


def _from_document(pool: LocalUserPool, entry: dict[str, Any]) -> CognitoIdpUser:
    kept = entry["password"]
    password = PasswordHash.from_text(kept) if kept is not None else None
    user = CognitoIdpUser(pool.id, None, password, UserStatus(entry["status"]), [])
    user.id = user.username = entry["sub"]
    user.update_attributes(
        [{"Name": name, "Value": value} for name, value in entry["attributes"].items()]
    )
    user.enabled = entry["enabled"]
    user.signed_out_ms = entry["signed_out_ms"]
    # A home of before there were any has none.
    user.extras = Extras.from_document(entry["extras"]) if "extras" in entry else Extras()
    user.create_date = datetime.fromisoformat(entry["created"])
    user.last_modified_date = datetime.fromisoformat(entry["modified"])
    return user
