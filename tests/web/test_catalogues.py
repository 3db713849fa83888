"""The words on screen come from the catalogues, all of them, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from .fake_api import ROOT

WEB = ROOT / "web"
MODULES = sorted(WEB.rglob("*.js"))
COMMENT = re.compile(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", re.DOTALL)
LITERAL = re.compile(r'"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`')
KEY = re.compile(r"^[a-z_]+(\.[A-Za-z0-9_-]+)+$")


def catalogue(locale: str) -> dict[str, str]:
    content: dict[str, str] = json.loads((WEB / "i18n" / f"{locale}.json").read_text("utf-8"))
    return content


def code(module: Path) -> str:
    return COMMENT.sub("", module.read_text("utf-8"))


def literals(module: Path) -> list[str]:
    return [plain or template for plain, template in LITERAL.findall(code(module))]


def key_patterns() -> list[re.Pattern[str]]:
    """Each string of the code that could name a catalogue key, holes matching anything."""
    found = {text for module in MODULES for text in literals(module)}
    shapes = [re.split(r"\$\{[^}]*(?:\{[^}]*\}[^}]*)*\}", text) for text in found]
    return [
        re.compile(".+".join(map(re.escape, shape))) for shape in shapes if "." in "".join(shape)
    ]


def test_both_languages_have_the_same_keys() -> None:
    assert catalogue("pt-BR").keys() == catalogue("en").keys()


def test_both_languages_fill_the_same_placeholders() -> None:
    english = catalogue("en")
    for key, text in catalogue("pt-BR").items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", english[key])), key


def test_no_text_is_empty() -> None:
    for locale in ("pt-BR", "en"):
        assert [key for key, text in catalogue(locale).items() if not text.strip()] == []


def test_every_key_that_the_code_names_exists() -> None:
    keys = catalogue("en").keys()
    bases = {re.sub(r"\.(one|other)$", "", key) for key in keys}
    named = {
        text
        for module in MODULES
        for text in re.findall(r'\bt\(\s*"([^"]+)"', code(module))
        + [text for text in literals(module) if KEY.match(text) and text.split(".")[0] in AREAS]
    }
    assert named - keys - bases == set()


AREAS = {key.split(".")[0] for key in catalogue("en")}


def test_every_key_is_used() -> None:
    patterns = key_patterns()
    unused = [
        key
        for key in catalogue("en")
        if not any(p.fullmatch(re.sub(r"\.(one|other)$", "", key)) for p in patterns)
    ]
    assert unused == []


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)
def test_a_module_holds_no_sentence(module: Path) -> None:
    source = code(module)
    source = re.sub(r"new (?:\w*Error)\(.*", "", source)  # For a developer, not for the screen.
    source = re.sub(r"console\.error\(.*", "", source)
    found = [plain or template for plain, template in LITERAL.findall(source)]
    words = re.compile(r"[À-ÿ]|^[A-Z][a-z]+ [a-z]|[a-z]+ [a-z]+[.!?:]$|\b[a-z]+, [a-z]+ ")
    assert [text for text in found if words.search(text)] == []


def test_the_document_itself_holds_no_text_but_the_name() -> None:
    document = (WEB / "index.html").read_text("utf-8")
    assert re.sub(r"<[^>]*>", "", document).split() == ["TrakSense"]


def test_markup_is_never_made_from_strings() -> None:
    makers = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(")
    assert [module.name for module in MODULES if makers.search(code(module))] == []


def test_the_lock_file_names_no_registry() -> None:
    lock = (ROOT / "package-lock.json").read_text("utf-8")
    assert "resolved" not in lock
    assert "http" not in lock
