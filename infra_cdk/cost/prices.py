"""Unit prices, read from ``prices.json``: each with its page, and the day on which it was read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PRICES_JSON: Final = Path(__file__).with_name("prices.json")


class NoPrice(Exception):
    """There is no such price, or not for that region; the message names it."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A part of a month's quantity with a price of its own."""

    up_to: float
    """Units of a month; infinity for the last one."""
    usd: float
    """For as many units as the price's ``per``."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a unit costs in one region, in USD, on demand and before taxes."""

    name: str
    unit: str
    per: int
    page: str
    as_of: str
    """The day of the copy of the page that was read, ``as known``, or ``estimated``."""
    tiers: tuple[Tier, ...]

    def of(self, quantity: float) -> float:
        """USD of a month's quantity, each tier's part at its own price."""
        usd, begin = 0.0, 0.0
        for tier in self.tiers:
            in_tier = min(quantity, tier.up_to) - begin
            if in_tier <= 0:
                break
            usd += in_tier / self.per * tier.usd
            begin = tier.up_to
        return usd


class PriceList:
    """All prices of one region."""

    def __init__(self, region: str, prices: Mapping[str, Price]) -> None:
        self.region = region
        self._prices = prices

    def __getitem__(self, name: str) -> Price:
        """Raises NoPrice."""
        try:
            return self._prices[name]
        except KeyError:
            raise NoPrice(f"prices.json has no price {name!r} for {self.region}") from None

    def names(self) -> frozenset[str]:
        """Of every price that there is."""
        return frozenset(self._prices)


def regions(path: Path = PRICES_JSON) -> tuple[str, ...]:
    """Regions that every price is there for."""
    all_of = [frozenset(each["regions"]) for each in _read(path).values()]
    return tuple(sorted(frozenset.intersection(*all_of)))


def load(region: str, path: Path = PRICES_JSON) -> PriceList:
    """The prices of a region. Raises NoPrice where there are none of it."""
    if region not in regions(path):
        raise NoPrice(f"prices.json has no prices for {region}: it has {', '.join(regions(path))}")
    prices = {}
    for name, each in _read(path).items():
        here = each["regions"][region]
        tiers = tuple(
            Tier(float("inf") if up_to is None else up_to, usd) for up_to, usd in here["tiers"]
        )
        prices[name] = Price(
            name, each["unit"], each["per"], each["page"], here["as_of"], tiers
        )  # fmt: skip
    return PriceList(region, prices)


def _read(path: Path) -> dict[str, Any]:
    prices: dict[str, Any] = json.loads(path.read_text("utf-8"))["prices"]
    return prices
