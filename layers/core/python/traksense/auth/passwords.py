"""The pool's rule for passwords, said before the pool is asked. Pure."""

from __future__ import annotations

from traksense.contracts.user_pool import USER_POOL
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import Text, text

FIELD = "body.new_password"


def check_password(password: str) -> str:
    """The password, where the pool will take it. Raises Invalid, which says the rule."""
    policy = USER_POOL.password
    if len(password) < policy.least_characters:
        raise _invalid(text("auth.password_short", least=policy.least_characters))
    if len(password) > policy.most_characters:
        raise _invalid(text("auth.password_long", most=policy.most_characters))
    if password != password.strip():
        raise _invalid(text("auth.password_spaces"))
    return password


def password_refused() -> Invalid:
    """The error for a password that the pool refused for a rule of its own."""
    return _invalid(text("auth.password_refused"))


def _invalid(message: Text) -> Invalid:
    return Invalid(message, ((FIELD, message),))
