"""Numbers, sizes and times of a clock as people of a locale write them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from traksense.i18n.catalogue import Locale

_GROUPS: Final[Mapping[Locale, str]] = {"pt-BR": ".", "en": ","}
_POINTS: Final[Mapping[Locale, str]] = {"pt-BR": ",", "en": "."}
_WALL: Final[Mapping[Locale, str]] = {"pt-BR": "%d/%m/%Y %H:%M", "en": "%Y-%m-%d %H:%M"}
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def count_text(count: int, locale: Locale) -> str:
    """A whole number with its thousands apart."""
    return f"{count:,}".replace(",", _GROUPS[locale])


def size_text(size: int, locale: Locale) -> str:
    """Bytes with three digits or so; 1 kB is 1,000 of them."""
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        # What would be rounded up to 1,000 is one of the next unit.
        if value < 999.5 or unit == _UNITS[-1]:
            break
        value /= 1000
    digits = 1 if unit != "B" and value < 99.95 else 0
    return f"{value:,.{digits}f}".translate(_separators(locale)) + f" {unit}"


def wall_text(wall: datetime, locale: Locale) -> str:
    """What a clock shows, to the minute."""
    return wall.strftime(_WALL[locale])


def _separators(locale: Locale) -> dict[int, str]:
    return {ord(","): _GROUPS[locale], ord("."): _POINTS[locale]}
