"""Answers about tenants and their sites."""

from __future__ import annotations

from uuid import UUID

from pydantic import Field

from functions.api.models.base import Answer, Utc


class TenantLimitsAnswer(Answer):
    """How much a tenant may have; null where the platform's limit holds."""

    max_devices: int | None
    max_users: int | None
    requests_per_minute: int | None
    user_requests_per_minute: int | None


class RetentionAnswer(Answer):
    """For how many days each level is shown; null where the platform's retention holds."""

    raw_days: int | None
    minute_days: int | None = Field(alias="1m_days")
    five_minute_days: int | None = Field(alias="5m_days")
    hour_days: int | None = Field(alias="1h_days")


class TenantAnswer(Answer):
    """A customer organisation."""

    id: UUID
    slug: str
    name: str
    time_zone: str
    locale: str
    commands_enabled: bool
    limits: TenantLimitsAnswer
    retention: RetentionAnswer
    created_at: Utc
    erasing_at: Utc | None = Field(description="When its erasure was asked for.")


class SiteAnswer(Answer):
    """A place of a tenant; ``tenant`` is a slug."""

    id: UUID
    tenant: str
    slug: str
    name: str
    created_at: Utc
