"""The platform itself, for operators."""

from __future__ import annotations

from typing import Final

from chalice.app import Blueprint

from functions.api.auditing import Audited
from functions.api.models.ops import CacheAnswer, CacheKindAnswer
from functions.api.routing import OPS, Call, route
from functions.api.validation import NoParams
from traksense.services.cache import CacheStatus

blueprint: Final = Blueprint(__name__)


@route(
    blueprint,
    "GET",
    "/api/ops/cache",
    roles=OPS,
    audit=Audited("cache.read"),
    response=CacheAnswer,
)
def get_cache(call: Call[NoParams, None]) -> CacheAnswer:
    """Shows how the copies in the answering container's memory serve."""
    return _cache(call.services.cache.status())


@route(
    blueprint,
    "POST",
    "/api/ops/cache/clear",
    roles=OPS,
    audit=Audited("cache.clear"),
    response=CacheAnswer,
)
def clear_cache(call: Call[NoParams, None]) -> CacheAnswer:
    """Makes every container read the configuration anew."""
    call.services.cache.clear()
    return _cache(call.services.cache.status())


def _cache(status: CacheStatus) -> CacheAnswer:
    hits, misses = sum(k.hits for k in status.kinds), sum(k.misses for k in status.kinds)
    return CacheAnswer(
        is_on=status.is_on,
        ttl_s=status.ttl_s,
        entries=status.entries,
        epoch=status.epoch,
        hits=hits,
        misses=misses,
        hit_ratio=_ratio(hits, misses),
        kinds=[
            CacheKindAnswer(
                kind=each.kind,
                hits=each.hits,
                misses=each.misses,
                hit_ratio=_ratio(each.hits, each.misses),
            )
            for each in status.kinds
        ],
    )


def _ratio(hits: int, misses: int) -> float | None:
    return hits / (hits + misses) if hits or misses else None
