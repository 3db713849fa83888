"""What a person reads, as it is kept: by locale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Labels = Mapping[Literal["pt-BR", "en"], str]
"""A text by locale. One that is missing gives way to another."""

LONGEST_LABEL: Final = 120
EMPTY: Final[Labels] = {}


def label(labels: Labels, locale: Literal["pt-BR", "en"], otherwise: str) -> str:
    """The text in a locale, else in another, else what stands for it where there is none."""
    return labels.get(locale) or next(iter(labels.values()), otherwise)
