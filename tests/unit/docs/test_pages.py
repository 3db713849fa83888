"""The documentation as a whole: nothing in it is broken, foreign or out of reach."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.pages import ROOT, Page, all_pages, page

ENGLISH, PORTUGUESE = page("README.md"), page("README.pt-BR.md")

FOREIGN = re.compile(
    r"/root/|design document|\bissues? #?\d|\bTODO\b|\bFIXME\b",
    re.IGNORECASE,
)
"""What is no part of the project: places of one machine, and who made what how."""


def names(pages: tuple[Page, ...]) -> list[str]:
    return [each.name for each in pages]


def linked(source: Page) -> Iterator[tuple[str, Path, str]]:
    """Each link of a page: as it is written, the file that it leads to, the heading in it."""
    for target in source.links:
        place, _, anchor = target.partition("#")
        file = (source.path.parent / place).resolve() if place else source.path
        yield target, file, anchor


@pytest.mark.parametrize("each", all_pages(), ids=names(all_pages()))
def test_every_link_leads_somewhere(each: Page) -> None:
    for target, file, anchor in linked(each):
        assert file.is_relative_to(ROOT), f"{target} leads out of the repository"
        assert file.exists(), f"{target} leads nowhere"
        if anchor:
            assert anchor in Page(file).anchors, f"{target}: there is no such heading"


@pytest.mark.parametrize("each", all_pages(), ids=names(all_pages()))
def test_a_page_speaks_of_the_project_alone(each: Page) -> None:
    found = FOREIGN.search(each.text)
    assert found is None, f"{each.name} says {found.group()!r}" if found else ""


@pytest.mark.parametrize("each", all_pages(), ids=names(all_pages()))
def test_every_example_in_json_is_json(each: Page) -> None:
    for language, body in each.code_blocks:
        if language == "json" and "…" not in body:
            json.loads(body)


def test_every_page_is_reached_from_the_readme() -> None:
    reached, waiting = set(), [ENGLISH.path]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        waiting += [file for _, file, _ in linked(Page(path))]
    unreached = [each.name for each in all_pages() if each.path not in reached]
    assert unreached == []


def test_the_readme_says_the_same_in_both_languages() -> None:
    levels = [[level for level, _ in readme.headings] for readme in (ENGLISH, PORTUGUESE)]
    assert levels[0] == levels[1]
    tables = [[len(row) for row in readme.table_rows()] for readme in (ENGLISH, PORTUGUESE)]
    assert tables[0] == tables[1]
    items = [
        len(re.findall(r"^- ", readme.prose, re.MULTILINE)) for readme in (ENGLISH, PORTUGUESE)
    ]
    assert items[0] == items[1]


def test_the_readmes_commands_are_the_same_in_both_languages() -> None:
    blocks = [
        # A diagram has words in it that are translated; its shape is the same.
        [
            (language, re.sub(r'"[^"]*"', '""', body) if language == "mermaid" else body)
            for language, body in readme.code_blocks
        ]
        for readme in (ENGLISH, PORTUGUESE)
    ]
    assert blocks[0] == blocks[1]
    assert len(blocks[0]) > 5


def test_the_readmes_link_the_same_pages_and_each_other() -> None:
    targets = [set(readme.links) for readme in (ENGLISH, PORTUGUESE)]
    assert targets[0] ^ targets[1] == {"README.md", "README.pt-BR.md"}


def test_decisions_are_numbered_without_a_gap_and_have_their_three_parts() -> None:
    decisions = sorted((ROOT / "docs" / "adr").glob("*.md"))
    numbers = [int(path.name[:4]) for path in decisions]
    assert numbers == list(range(1, len(numbers) + 1))
    listed = page("docs/architecture.md").links
    for number, path in zip(numbers, decisions, strict=True):
        headings = [title for _, title in Page(path).headings]
        assert headings[0].startswith(f"{number}. ")
        assert headings[1:] == ["Context", "Decision", "Consequences"]
        assert f"adr/{path.name}" in listed
