"""Answers about the platform's health."""

from __future__ import annotations

from typing import Literal

from functions.api.models.base import Answer


class HealthAnswer(Answer):
    """The service is up."""

    status: Literal["ok"]
    version: str


class PartAnswer(Answer):
    """One part that the service stands on."""

    status: Literal["ok", "failing"]
    latency_ms: float
    server_version: str | None = None
    engine: str | None = None
    lag_s: dict[str, float] | None = None
    depth: dict[str, int] | None = None
    failures: dict[str, int] | None = None


class DeepHealthAnswer(Answer):
    """Every part; ``failing`` where one of them is."""

    status: Literal["ok", "failing"]
    version: str
    parts: dict[str, PartAnswer]
