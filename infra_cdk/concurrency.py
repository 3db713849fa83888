"""How many calls of each function run at once, so that the database has a connection for each.

A call holds one connection, and Lambda gives a container one call at a time. What the manifest
says of each function stands; the one that says nothing gets what is left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from traksense.contracts.functions import FUNCTIONS, Function

LEAST_FOR_THE_REST: Final = 10


class TooFewConnections(Exception):
    """The database takes fewer connections than the functions need; the message says how many."""


def shares(connections: int, functions: Sequence[Function] = FUNCTIONS) -> Mapping[str, int]:
    """Most calls at once of each function with a database, by name. Raises TooFewConnections."""
    with_database = [each for each in functions if each.database_roles]
    stated = {
        each.name: each.max_concurrency
        for each in with_database
        if each.max_concurrency is not None
    }
    rest = [each.name for each in with_database if each.max_concurrency is None]
    left = connections - sum(stated.values())
    if left < LEAST_FOR_THE_REST * len(rest):
        wanted = sum(stated.values()) + LEAST_FOR_THE_REST * len(rest)
        raise TooFewConnections(
            f"the functions need {wanted} connections of the database, and it has {connections} "
            "for them"
        )
    return stated | {name: left // len(rest) for name in rest}
