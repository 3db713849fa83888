"""Answers about the platform itself, for operators."""

from __future__ import annotations

from functions.api.models.base import Answer


class CacheKindAnswer(Answer):
    """Copies of one kind. ``hit_ratio`` is null where none was looked for yet."""

    kind: str
    hits: int
    misses: int
    hit_ratio: float | None


class CacheAnswer(Answer):
    """The copies of the configuration in the memory of the container that answers.

    ``epoch`` is that of the configuration as the container saw it last.
    """

    is_on: bool
    ttl_s: float
    entries: int
    epoch: int | None
    hits: int
    misses: int
    hit_ratio: float | None
    kinds: list[CacheKindAnswer]
