"""What a person reads, by locale: flat JSON catalogues with the same keys in each language.

``<locale>/<subject>.json``; a key stands in one of them only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Final, Literal, cast

Locale = Literal["pt-BR", "en"]

LOCALES: Final[tuple[Locale, ...]] = ("pt-BR", "en")
DEFAULT_LOCALE: Final[Locale] = "pt-BR"
_LOG_LOCALE: Final[Locale] = "en"

_BY_LANGUAGE: Final[Mapping[str, Locale]] = {"pt": "pt-BR", "en": "en", "*": DEFAULT_LOCALE}
_RANGE: Final = re.compile(
    r"\s*([A-Za-z*]{1,8})(?:-[A-Za-z0-9-]*)?\s*(?:;\s*q=([01](?:\.\d{0,3})?))?\s*"
)
_MAX_HEADER: Final = 1000


class Text(str):
    """A sentence from the catalogue: English where it is logged, any locale where it is shown.

    Errors carry it as their message, so that whoever answers can say it in the caller's language.
    """

    key: str
    params: Mapping[str, object]

    def __new__(cls, key: str, params: Mapping[str, object]) -> Text:
        """The English sentence that also remembers where it came from."""
        made = super().__new__(cls, translate(_LOG_LOCALE, key, params))
        made.key = key
        made.params = params
        return made

    def into(self, locale: Locale) -> str:
        """The same sentence in a locale."""
        return translate(locale, self.key, self.params)


def text(key: str, /, **params: object) -> Text:
    """A sentence by its key. Raises KeyError for a key that the catalogue does not have."""
    return Text(key, MappingProxyType(params))


@cache
def catalogue(locale: Locale) -> Mapping[str, str]:
    """All sentences of a locale by key."""
    sentences: dict[str, str] = {}
    for source in resources.files(__package__).joinpath(locale).iterdir():
        if source.name.endswith(".json"):
            sentences |= cast(dict[str, str], json.loads(source.read_text("utf-8")))
    return MappingProxyType(sentences)


def has(key: str) -> bool:
    """Whether the catalogues know a key."""
    return key in catalogue(DEFAULT_LOCALE)


def translate(locale: Locale, key: str, params: Mapping[str, object] | None = None) -> str:
    """A sentence in a locale, with its ``{parameters}`` filled in. Raises KeyError."""
    sentence = catalogue(locale)[key]
    return sentence.format_map(params) if params else sentence


def negotiate(accept_language: str | None) -> Locale:
    """The locale for an ``Accept-Language`` header (RFC 9110, section 12.5.4).

    Only the language counts, not the region: ``pt-PT`` gets ``pt-BR``. What is malformed is
    skipped; nothing that fits gives the default.
    """
    best: Locale = DEFAULT_LOCALE
    best_quality = 0.0
    for item in (accept_language or "")[:_MAX_HEADER].split(","):
        match = _RANGE.fullmatch(item)
        if match is None:
            continue
        locale = _BY_LANGUAGE.get(match[1].lower())
        quality = 1.0 if match[2] is None else float(match[2])
        if locale is not None and quality > best_quality:
            best, best_quality = locale, quality
    return best
