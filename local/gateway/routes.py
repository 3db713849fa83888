"""Finds the route of a path as API Gateway does: literal segments go before variables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import unquote


@dataclass(frozen=True, slots=True)
class Match:
    """A route's template and the values of its variables, percent-decoded."""

    template: str
    parameters: dict[str, str]


@dataclass(slots=True)
class _Node:
    literals: dict[str, _Node] = field(default_factory=dict)
    variable: _Node | None = None
    template: str | None = None


class RouteTable:
    """Templates such as ``/api/devices/{id}``, one variable a segment."""

    def __init__(self, templates: Iterable[str]) -> None:
        self._root = _Node()
        for template in templates:
            node = self._root
            for segment in _segments(template):
                if segment.startswith("{") and segment.endswith("}"):
                    node.variable = node.variable or _Node()
                    node = node.variable
                else:
                    node = node.literals.setdefault(segment, _Node())
            node.template = template

    def match(self, raw_path: str) -> Match | None:
        """The route of a path that is still percent-encoded; None where there is none.

        An encoded slash is part of a segment and never divides one. One slash at the end is
        ignored. A variable takes any segment but the empty one.
        """
        segments = [unquote(segment) for segment in _segments(raw_path)]
        template = _find(self._root, segments, 0)
        if template is None:
            return None
        parameters = {
            name[1:-1]: value
            for name, value in zip(_segments(template), segments, strict=True)
            if name.startswith("{")
        }
        return Match(template, parameters)


def _segments(path: str) -> list[str]:
    if path != "/" and path.endswith("/"):
        path = path[:-1]
    return path.split("/")[1:]


def _find(node: _Node, segments: list[str], position: int) -> str | None:
    if position == len(segments):
        return node.template
    segment = segments[position]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _find(literal, segments, position + 1)
        if found is not None:
            return found
    if node.variable is not None and segment:
        return _find(node.variable, segments, position + 1)
    return None
