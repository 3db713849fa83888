"""The text of an e-mail that was written in HTML."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

_BLOCKS: Final = frozenset({"p", "h1", "h2", "div", "tr", "li", "br", "table"})
_UNSEEN: Final = frozenset({"head", "style", "title", "script"})
# Elements without an end (HTML Living Standard, 13.1.2).
_VOID: Final = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)


def plain_text(html: str) -> str:
    """What a person reads of it, a line for each block; links with their addresses."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = [re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in reader.text().splitlines()]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._skipped: list[str] = []
        self._link: tuple[str, int] | None = None

    def text(self) -> str:
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        hidden = "display:none" in (given.get("style") or "").replace(" ", "")
        if self._skipped or tag in _UNSEEN or hidden:
            if tag not in _VOID:
                self._skipped.append(tag)
            return
        if tag in _BLOCKS:
            self._parts.append("\n" if tag in ("br", "tr", "table") else "\n\n")
        if tag == "a":
            self._link = (given.get("href") or "", len(self._parts))

    def handle_endtag(self, tag: str) -> None:
        if self._skipped:
            if self._skipped[-1] == tag:
                self._skipped.pop()
            return
        if tag == "a" and self._link is not None:
            address, start = self._link
            self._link = None
            if address and address not in "".join(self._parts[start:]):
                self._parts.append(f": {address}")

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self._parts.append(data.replace("\n", " "))
