"""Whether a device is online: a state machine over what arrives about it.

State is ordered by arrival at the broker, never by a device's clock: a Will's payload was fixed
when its session began. Presence events of the broker carry the session and a version that grows
with each connect, so that the end of an older session says nothing about a newer one.

Source of the presence rules: AWS IoT Core Developer Guide, "Lifecycle events".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import msgspec

SUPERSEDED_WILL: Final = timedelta(seconds=5)
"""How long after a take-over an offline message may still be the older session's Will."""
VERSION_RESET: Final = timedelta(hours=1)
"""After so long without a connection the broker counts versions from 0 again."""


class Connectivity(msgspec.Struct, frozen=True):
    """What is known of a device's connection."""

    is_online: bool = False
    last_seen: datetime | None = None
    state_at: datetime | None = None
    """Arrival of the newest thing that ``is_online`` rests on."""
    session_id: str | None = None
    session_version: int | None = None
    session_open: bool = False
    session_at: datetime | None = None
    session_replaced_at: datetime | None = None


class SaidOnline(msgspec.Struct, frozen=True):
    """The device published ``online`` on its state topic."""

    at: datetime


class SaidOffline(msgspec.Struct, frozen=True):
    """``offline`` came on the state topic: the device's word, or its Will.

    ``said_at`` is the payload's own time; a Will has none.
    """

    at: datetime
    said_at: datetime | None = None


class Connected(msgspec.Struct, frozen=True):
    """The broker reports a new session."""

    at: datetime
    session: str
    version: int


class Disconnected(msgspec.Struct, frozen=True):
    """The broker reports the end of a session; ``replaced`` when a newer one took over."""

    at: datetime
    session: str
    version: int
    replaced: bool = False


Evidence = SaidOnline | SaidOffline | Connected | Disconnected


def _later(a: datetime | None, b: datetime) -> datetime:
    return b if a is None or b > a else a


def apply(state: Connectivity, evidence: Evidence) -> Connectivity:
    """The state after one piece of evidence; the same object when it changes nothing."""
    at = evidence.at
    is_news = state.state_at is None or at >= state.state_at
    match evidence:
        case SaidOnline():
            if not is_news:
                return state
            return msgspec.structs.replace(
                state, is_online=True, state_at=at, last_seen=_later(state.last_seen, at)
            )
        case SaidOffline():
            if not is_news or _is_superseded_will(state, evidence):
                return state
            return msgspec.structs.replace(state, is_online=False, state_at=at)
        case Connected():
            if _is_stale(state, at, evidence.version):
                return state
            replaces = state.session_open and state.session_id != evidence.session
            return msgspec.structs.replace(
                state,
                is_online=True if is_news else state.is_online,
                state_at=_later(state.state_at, at),
                last_seen=_later(state.last_seen, at),
                session_id=evidence.session,
                session_version=evidence.version,
                session_open=True,
                session_at=at,
                session_replaced_at=at if replaces else state.session_replaced_at,
            )
        case Disconnected():
            return _disconnect(state, evidence, is_news)


def _disconnect(state: Connectivity, evidence: Disconnected, is_news: bool) -> Connectivity:
    at = evidence.at
    replaced_at = at if evidence.replaced else state.session_replaced_at
    is_another = state.session_id is not None and state.session_id != evidence.session
    if is_another and (state.session_open or _is_stale(state, at, evidence.version)):
        # The end of an older session. That a newer one took over is worth keeping.
        if not evidence.replaced:
            return state
        return msgspec.structs.replace(state, session_replaced_at=replaced_at)
    return msgspec.structs.replace(
        state,
        is_online=False if is_news and not evidence.replaced else state.is_online,
        state_at=at if is_news and not evidence.replaced else state.state_at,
        session_id=evidence.session,
        session_version=evidence.version,
        session_open=False,
        session_at=at,
        session_replaced_at=replaced_at,
    )


def _is_stale(state: Connectivity, at: datetime, version: int) -> bool:
    if state.session_version is None or version >= state.session_version:
        return False
    return state.session_at is None or at - state.session_at < VERSION_RESET


def _is_superseded_will(state: Connectivity, offline: SaidOffline) -> bool:
    if offline.said_at is not None or state.session_replaced_at is None:
        return False
    return timedelta(0) <= offline.at - state.session_replaced_at < SUPERSEDED_WILL
