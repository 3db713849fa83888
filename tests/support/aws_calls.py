"""Which actions of IAM a function's code asks for: by what its services hold, and what these call.

The probe says which adapter stands under which name of which object. Here the source is read: which
methods of the adapter are used under that name, and which operations of boto3 those methods name.
What is found is every call that stands in the code, whether a run would come to it or not.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import botocore.session
from botocore import xform_name

from tests.support.function_probe import OF_ADAPTERS, Held, Probed
from traksense.aws import rds_iam

IAM_SERVICES: Final = {
    "cognito-idp": "cognito-idp",
    "iot": "iot",
    "iot-data": "iot",
    "s3": "s3",
    "secretsmanager": "secretsmanager",
    "ses": "ses",
    "sesv2": "ses",
    "sqs": "sqs",
    "stepfunctions": "states",
}
"""IAM's name of a service by boto3's."""

ACTIONS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    # Without the right to list, S3 answers 403 for what is not there.
    ("s3", "HeadObject"): ("s3:GetObject", "s3:ListBucket"),
    ("s3", "ListObjectsV2"): ("s3:ListBucket",),
    ("s3", "ListMultipartUploads"): ("s3:ListBucketMultipartUploads",),
    ("s3", "ListObjectVersions"): ("s3:ListBucketVersions",),
    ("s3", "DeleteObjects"): ("s3:DeleteObject",),
    ("s3", "CreateMultipartUpload"): ("s3:PutObject",),
    ("s3", "UploadPart"): ("s3:PutObject",),
    ("s3", "UploadPartCopy"): ("s3:GetObject", "s3:PutObject"),
    ("s3", "CompleteMultipartUpload"): ("s3:PutObject",),
}
"""Where the action is not the operation's name (AWS Service Authorization Reference; Amazon S3 user
guide, "Required permissions for Amazon S3 API operations")."""

MARKS: Final[Mapping[tuple[str, str], str]] = {
    ("s3", "VersionId"): "s3:DeleteObjectVersion",
    ("iot-data", "retain"): "iot:RetainPublish",
}
"""What an argument asks for besides."""

DATABASE_LOGIN: Final = f"{rds_iam._SERVICE}:connect"
"""What a signed token asks for; it is no call of boto3's."""


@dataclass(frozen=True, slots=True)
class Method:
    """One method of an adapter."""

    adapter: str
    """``module:class``."""
    name: str


class Unused(Exception):
    """An adapter that is held and of which no method is found: the search is blind there."""


def actions_of(made: Probed) -> set[str]:
    """Every action that a function's code may ask for. Raises Unused."""
    found: set[str] = set()
    for held in made.held:
        if held.adapter == _named(rds_iam.RdsIamPasswords):
            found.add(DATABASE_LOGIN)
        elif not held.holder.startswith(OF_ADAPTERS):
            for method, arguments in _used(held, made):
                found |= _asked(method, frozenset(_within(made.held)), arguments)
    return found


def _within(held: Iterable[Held]) -> Iterator[Held]:
    """Adapters that other adapters hold."""
    return (each for each in held if each.holder.startswith(OF_ADAPTERS))


def _used(held: Held, made: Probed) -> Iterator[tuple[Method, frozenset[str]]]:
    """Methods of an adapter that its holder's code uses, with the arguments that it names."""
    if held.method is not None:
        yield Method(held.adapter, held.method), frozenset()
        return
    own = [] if not held.holder else [_class_tree(held.holder)]
    uses = [use for tree in own for use in _uses_of(held, tree)]
    if not uses and held.method is None:
        # Who only hands it on: everybody who is there may take it from there by its name.
        trees = [_module_tree(name) for name in sorted(made.loaded)
                 if not name.startswith(OF_ADAPTERS)]  # fmt: skip
        uses = [use for tree in trees for use in _uses_of(held, tree)]
    if not uses and not any(
        each.method is not None and each.adapter == held.adapter for each in made.held
    ):
        raise Unused(f"{held.adapter} as {held.name} of {held.holder}")
    yield from uses


def _uses_of(held: Held, tree: ast.AST) -> Iterator[tuple[Method, frozenset[str]]]:
    own = {node.name for node in _class_tree(held.adapter).body
           if isinstance(node, ast.FunctionDef)}  # fmt: skip
    is_adapters = held.holder.startswith(OF_ADAPTERS)
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            if "__contains__" in own and any(
                _is_named(each, held.name) for each in node.comparators
            ):
                yield Method(held.adapter, "__contains__"), frozenset()
        elif (
            not is_adapters
            and isinstance(node, ast.Call)
            and any(
                _is_named(each, held.name)
                for each in (*node.args, *(keyword.value for keyword in node.keywords))
            )
        ):
            # Handed on, to who may do with it whatever it can. An adapter hands it on to the code
            # of its own module, which is read as well.
            yield from ((Method(held.adapter, name), frozenset()) for name in own - {"__init__"})
        elif "__call__" in own and isinstance(node, ast.Call) and _is_named(node.func, held.name):
            yield Method(held.adapter, "__call__"), frozenset()
        elif (
            isinstance(node, ast.Attribute)
            and node.attr in own
            and _is_named(node.value, held.name)
        ):
            call = calls.get(id(node))
            named = [each.arg for each in call.keywords if each.arg] if call else []
            yield Method(held.adapter, node.attr), frozenset(named)


def _is_named(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == name


def _asked(
    method: Method,
    within: frozenset[Held],
    arguments: frozenset[str],
    seen: frozenset[Method] = frozenset(),
) -> set[str]:
    """Actions of one method, of what it calls in its module, and of adapters that it uses."""
    if method in seen:
        return set()
    seen |= {method}
    module, _, name = method.adapter.partition(":")
    services = _services_of(module)
    found: set[str] = set()
    for code in _reached(module, name, method.name):
        texts = set(_names_in(code))
        for service in services:
            operations = _operations(service)
            for text in texts & operations.keys():
                if operations[text]:  # else AWS takes it from everybody
                    operation = operations[text]
                    usual = (f"{IAM_SERVICES[service]}:{operation}",)
                    found |= set(ACTIONS.get((service, operation), usual))
            for (of, mark), action in MARKS.items():
                if of == service and mark in (texts if of == "s3" else arguments):
                    found.add(action)
        for held in within:
            if held.holder.partition(":")[0] == module:
                for used, more in _uses_of(held, code):
                    found |= _asked(used, within, more, seen)
    return found


def _reached(module: str, kind: str, method: str) -> list[ast.AST]:
    """A method's code, and whatever of its module it names, and so on."""
    tree = _module_tree(module)
    tops = {node.name: node for node in tree.body
            if isinstance(node, ast.FunctionDef | ast.ClassDef)}  # fmt: skip
    own = {node.name: node for node in tops[kind].body if isinstance(node, ast.FunctionDef)}
    found: list[ast.AST] = []
    waiting: list[ast.AST] = [own[method]]
    while waiting:
        code = waiting.pop()
        if code in found:
            continue
        found.append(code)
        for node in ast.walk(code):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                if node.value.id == "self" and node.attr in own and code in own.values():
                    waiting.append(own[node.attr])
            elif isinstance(node, ast.Name) and node.id in tops and node.id != kind:
                waiting.append(tops[node.id])
    return found


def _names_in(code: ast.AST) -> Iterator[str]:
    """Attributes and texts: an operation may be called by either."""
    for node in ast.walk(code):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@functools.cache
def _services_of(module: str) -> frozenset[str]:
    """Services for which a module, or an adapter's module that it imports, makes clients."""
    tree = _module_tree(module)
    found = {
        node.args[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "new_client"
        and isinstance(node.args[0], ast.Constant)
    }  # fmt: skip
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OF_ADAPTERS):
            found |= _services_of(str(node.module))
    return frozenset(found)


@functools.cache
def _operations(service: str) -> Mapping[str, str]:
    """IAM's operation by boto3's method; empty where AWS takes the call from everybody."""
    model = botocore.session.get_session().get_service_model(service)
    return {
        xform_name(name): "" if model.operation_model(name).auth_type == "none" else name
        for name in model.operation_names
    }


@functools.cache
def _module_tree(module: str) -> ast.Module:
    path = importlib.import_module(module).__file__
    assert path is not None
    return ast.parse(Path(path).read_text("utf-8"))


@functools.cache
def _class_tree(name: str) -> ast.ClassDef:
    module, _, kind = name.partition(":")
    (found,) = [node for node in _module_tree(module).body
                if isinstance(node, ast.ClassDef) and node.name == kind]  # fmt: skip
    return found


def _named(kind: type) -> str:
    return f"{kind.__module__}:{kind.__qualname__}"
