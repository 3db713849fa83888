"""The catalogues: the same sentences in each language, with the same parameters."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import functions.api
import traksense.services
from functions.api import errors
from functions.api.auditing import Audited
from functions.api.routing import REGISTRY
from traksense.i18n import catalogue
from traksense.i18n.catalogue import LOCALES, negotiate, text, translate


def parameters(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name is not None}


def test_every_locale_has_the_same_keys_and_parameters() -> None:
    portuguese, english = (catalogue.catalogue(locale) for locale in LOCALES)
    assert set(portuguese) == set(english)
    for key, sentence in portuguese.items():
        assert parameters(sentence) == parameters(english[key]), key
        assert sentence.strip()
        assert english[key].strip()


def test_the_languages_are_not_copies_of_each_other() -> None:
    portuguese, english = (catalogue.catalogue(locale) for locale in LOCALES)
    assert [key for key in portuguese if portuguese[key] == english[key]] == []


def test_every_key_in_the_code_is_in_the_catalogue() -> None:
    used: set[str] = set()
    for package in (functions.api, traksense.services):
        for path in Path(next(iter(package.__path__))).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    used |= set(re.findall(r"\A[a-z]+\.[a-z_]+(?:\.[a-z]+)?\Z", node.value))
    known = set(catalogue.catalogue("en"))
    areas = {key.partition(".")[0] for key in known} - {"problem"}
    used -= {spec.audit.action for spec in REGISTRY.values() if isinstance(spec.audit, Audited)}
    assert {key for key in used if key.partition(".")[0] in areas - {"body"}} <= known
    assert "device.not_found" in used


@pytest.mark.parametrize("locale", LOCALES)
def test_every_answer_has_a_title_and_a_detail(locale: catalogue.Locale) -> None:
    for answer in (*errors.ANSWERS.values(), errors.INTERNAL):
        assert translate(locale, f"problem.{answer.code}.title")
        assert translate(locale, f"problem.{answer.code}.detail")


def test_a_text_is_english_where_it_is_logged_and_any_language_where_it_is_shown() -> None:
    message = text("tenant.not_found", slug="{x}")
    assert str(message) == "There is no tenant {x}."
    assert message.into("pt-BR") == "Não existe a organização {x}."


@pytest.mark.parametrize(
    ("header", "locale"),
    [(None, "pt-BR"), ("EN", "en"), ("*", "pt-BR"), ("en-US;q=0.1", "en"), ("eng", "pt-BR"),
     ("en;q=0.5,pt;q=0.6", "pt-BR"), ("en;q=2", "pt-BR")],
)  # fmt: skip
def test_the_language_is_negotiated(header: str | None, locale: str) -> None:
    assert negotiate(header) == locale
