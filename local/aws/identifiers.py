"""Names in the emulated account; the ids of the home's user pool, random once, then fixed."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.errors import StartupError
from local.home import write_json

REGION: Final = "us-east-1"
ACCOUNT: Final = "123456789012"
SENDER: Final = "no-reply@traksense.example"
"""Who e-mails come from."""
CONFIGURATION_SET: Final = "traksense-local"
"""With which e-mails are sent; it does nothing here, and has the list of suppressed addresses
looked at."""
_ALPHABET: Final = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class PoolIds:
    """``us-east-1_`` and nine characters; 26 characters: the forms that Cognito gives."""

    user_pool_id: str
    client_id: str


def pool_ids(home: Path) -> PoolIds:
    """The ids of this home, made at the first call. Raises StartupError on a broken file."""
    path = home / "aws" / "pool.json"
    try:
        kept = json.loads(path.read_bytes())
        return PoolIds(str(kept["user_pool_id"]), str(kept["client_id"]))
    except FileNotFoundError:
        made = PoolIds(f"{REGION}_{_random(9)}", _random(26))
    except (ValueError, KeyError, TypeError) as error:
        raise StartupError(f"{path} is damaged: restore it or remove it") from error
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_json(path, {"user_pool_id": made.user_pool_id, "client_id": made.client_id})
    return made


def function_arn(name: str) -> str:
    """The ARN of a function by its name in the manifest."""
    return f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{name}"


def state_machine_arn(name: str) -> str:
    """The ARN of a state machine by its name in the contracts."""
    return f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{name}"


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
