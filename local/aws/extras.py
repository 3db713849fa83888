"""What Cognito keeps of a user and moto does not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from moto.cognitoidp.models import CognitoIdpUser

from .passwords import PasswordHash


@dataclass(slots=True)
class Extras:
    """Kept beside a user. Times in Unix seconds."""

    invited_at: float | None = None
    """When the temporary password was made; None where there is none."""
    code: PasswordHash | None = None
    """Of the code for a new password."""
    code_until: float = 0.0
    totp_secret: str | None = None
    totp_step: int = 0
    """The newest step whose code was used: each is good once."""
    is_totp_on: bool = False

    def to_document(self) -> dict[str, Any]:
        """As it is kept on disk."""
        return {
            "invited_at": self.invited_at,
            "code": None if self.code is None else self.code.to_text(),
            "code_until": self.code_until,
            "totp_secret": self.totp_secret,
            "totp_step": self.totp_step,
            "is_totp_on": self.is_totp_on,
        }

    @classmethod
    def from_document(cls, kept: dict[str, Any]) -> Extras:
        """Read what ``to_document`` wrote. Raises KeyError, TypeError or ValueError."""
        code = kept["code"]
        return cls(
            invited_at=None if kept["invited_at"] is None else float(kept["invited_at"]),
            code=None if code is None else PasswordHash.from_text(code),
            code_until=float(kept["code_until"]),
            totp_secret=kept["totp_secret"],
            totp_step=int(kept["totp_step"]),
            is_totp_on=bool(kept["is_totp_on"]),
        )


def extras(user: CognitoIdpUser) -> Extras:
    """What is kept of a user beside moto's."""
    found: Extras | None = getattr(user, "extras", None)
    if found is None:
        found = user.extras = Extras()
    return found
