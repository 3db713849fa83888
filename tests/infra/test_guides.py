"""Every command of AWS's CLI in a guide is one that there is, with options that it takes."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name
from botocore.model import Shape

from tests.unit.docs.pages import ROOT, Page

GUIDES = sorted((ROOT / "docs" / "howto").rglob("*.md"))
EVERYWHERE = {
    "--cli-binary-format", "--cli-input-json", "--no-cli-pager", "--output", "--page-size",
    "--profile", "--query", "--region", "--starting-token", "--max-items",
}  # fmt: skip
OF_THE_CLI = ("s3", "configure", "logs tail", "cloudformation deploy")
"""Commands that are the CLI's own and stand for no call of AWS."""
END = {"|", "||", "&&", ";", "do", "done", "then", "fi", ">", ">>", "<"}


def commands(text: str) -> Iterator[list[str]]:
    """Each call of ``aws`` in a shell block or between backquotes, in words."""
    blocks = re.findall(r"^ *```sh\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL)
    inline = re.findall(r"`(aws [^`\n]+)`", text)
    for block in (*blocks, *inline):
        joined = re.sub(r"\\\n\s*", " ", block)
        for found in re.finditer(r"(?<![\w/.-])aws (?=[a-z])", joined):
            yield words(joined[found.start() :].split("\n")[0])


def words(line: str) -> list[str]:
    """A command's words, up to the end of it."""
    # What is between the parentheses of a substitution is a command of its own.
    line = re.sub(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)", "SUBSTITUTED", line)
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split = True
    found = []
    try:
        for word in lexer:
            if word in END or set(word) <= set("|&;<>()"):
                break
            found.append(word)
    except ValueError:  # a quote that ends on another line
        found += [word for word in line.split() if word.startswith("--") and word not in found]
    return found


@cache
def service(name: str) -> Any:
    return botocore.session.get_session().get_service_model(name)


def options_of(shape: Shape | None) -> set[str]:
    members = {} if shape is None else shape.members  # type: ignore[attr-defined]
    options = set()
    for name, member in members.items():
        option = f"--{xform_name(name, '-')}"
        options.add(option)
        if member.type_name == "boolean":
            options.add(option.replace("--", "--no-", 1))
    return options


def wrong(command: list[str]) -> list[str]:
    """What of a command AWS's CLI would not take."""
    given = [word for word in command if not word.startswith("-")]
    if len(given) < 3 or " ".join(command[1:3]).startswith(OF_THE_CLI):
        return []
    name, operation = command[1:3]
    if name not in botocore.session.get_session().get_available_services():
        return [f"there is no service {name}"]
    model = service(name)
    by_cli = {xform_name(each, "-"): each for each in model.operation_names}
    if operation == "wait":
        waiters = botocore.session.get_session().get_waiter_model(name).waiter_names
        by_waiter = {xform_name(each, "-"): each for each in waiters}
        if command[3] not in by_waiter:
            return [f"{name} waits for no {command[3]}"]
        waiter = botocore.session.get_session().get_waiter_model(name)
        operation = xform_name(waiter.get_waiter(by_waiter[command[3]]).operation, "-")
    if operation not in by_cli:
        return [f"{name} has no {operation}"]
    known = options_of(model.operation_model(by_cli[operation]).input_shape) | EVERYWHERE
    asked = {word.partition("=")[0] for word in command if word.startswith("--")}
    return [f"{name} {operation} takes no {each}" for each in sorted(asked - known)]


@pytest.mark.parametrize("guide", GUIDES, ids=lambda path: path.name)
def test_awss_cli_takes_every_command_of_a_guide(guide: Any) -> None:
    found = [each for command in commands(Page(guide).text) for each in wrong(command)]
    assert found == []


def test_there_are_commands_to_look_at() -> None:
    total = sum(1 for guide in GUIDES for _ in commands(guide.read_text("utf-8")))
    assert total > 40


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("`aws rdz describe-db-instances`", "there is no service rdz"),
        ("`aws rds describe-databases`", "rds has no describe-databases"),
        ("```sh\naws rds reboot-db-instance --db-instance x\n```\n", "takes no --db-instance"),
        (
            "```sh\naws rds wait db-instance-there --x y\n```\n",
            "rds waits for no db-instance-there",
        ),
        ("```sh\nX=$(aws sqs list-queues --prefix a)\n```\n", "sqs list-queues takes no --prefix"),
    ],
)
def test_a_command_that_there_is_not_is_found(text: str, said: str) -> None:
    (found,) = [each for command in commands(text) for each in wrong(command)]
    assert said in found
