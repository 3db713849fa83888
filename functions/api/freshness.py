"""No answer rests on what was changed before its request began: see traksense.services.cache."""

from __future__ import annotations

from collections.abc import Callable

from chalice.app import Response

from functions.api.services import services
from traksense.domain.errors import PermanentError
from traksense.services.cache import EpochMoved

SAFE = frozenset({"GET"})
"""Methods that only read: they may be answered anew."""


def fresh(method: str, answer: Callable[[], Response]) -> Response:
    """The answer, made again where copies in memory turn out to have been outdated.

    Raises what ``answer`` does, DatabaseAway and ConfigurationError.
    """
    cache = services.get().cache
    try:
        with cache.request(may_assume=method in SAFE):
            try:
                response = answer()
            except PermanentError:
                cache.confirm()  # that something is not there can be outdated, too
                raise
            cache.confirm()
            return response
    except EpochMoved:
        with cache.request(may_assume=False):
            return answer()
