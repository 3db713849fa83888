"""The documentation's pages, read the way a person's tools read them."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).parents[3]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_INLINE_CODE = re.compile(r"`[^`\n]*`")


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def code_blocks(self) -> list[tuple[str, str]]:
        """Language and body of each fenced block."""
        return _FENCE.findall(self.text)

    @cached_property
    def prose(self) -> str:
        """The text without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @property
    def headings(self) -> list[tuple[int, str]]:
        """Level and text of each heading."""
        return [(len(marks), title) for marks, title in _HEADING.findall(self.prose)]

    @property
    def anchors(self) -> set[str]:
        """What a link to a heading is called, as GitHub makes it."""
        return {
            re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")
            for _, title in self.headings
        }

    @property
    def links(self) -> list[str]:
        """Targets of all links that do not leave the repository."""
        found = _LINK.findall(_INLINE_CODE.sub("", self.prose))
        return [target for target in found if not re.match(r"[a-z]+:", target)]

    def table_rows(self) -> list[list[str]]:
        """The cells of every row of every table."""
        rows = [line for line in self.prose.splitlines() if line.startswith("| ")]
        return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in rows]

    def row(self, first_cell: str) -> list[str]:
        """The row that begins with this cell."""
        found = [row for row in self.table_rows() if row[0] == first_cell]
        assert found, f"{self.name} has no row {first_cell}"
        return found[0]


def page(name: str) -> Page:
    """A page by its path in the repository."""
    return Page(ROOT / name)


@cache
def all_pages() -> tuple[Page, ...]:
    """Every Markdown file of the project: those that git would keep."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode == 0:
        names = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    else:  # an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in _walk(ROOT)]
    return tuple(page(name) for name in sorted(names))


def _walk(folder: Path) -> list[Path]:
    found = [*folder.glob("*.md")]
    for child in folder.iterdir():
        if child.is_dir() and not child.name.startswith(".") and child.name != "node_modules":
            found += _walk(child)
    return found
