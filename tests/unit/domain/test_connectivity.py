from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from traksense.domain.connectivity import (
    Connected,
    Connectivity,
    Disconnected,
    Evidence,
    SaidOffline,
    SaidOnline,
    apply,
)

T0 = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def after(*evidence: Evidence) -> Connectivity:
    state = Connectivity()
    for each in evidence:
        state = apply(state, each)
    return state


def test_a_device_that_says_online_is_online() -> None:
    state = after(SaidOnline(at(0)))
    assert (state.is_online, state.last_seen) == (True, at(0))


def test_a_will_takes_a_device_offline_and_is_no_sign_of_life() -> None:
    state = after(SaidOnline(at(0)), SaidOffline(at(9)))
    assert (state.is_online, state.last_seen, state.state_at) == (False, at(0), at(9))


def test_what_arrived_earlier_never_undoes_what_arrived_later() -> None:
    assert after(SaidOffline(at(5)), SaidOnline(at(4))).is_online is False
    assert after(SaidOnline(at(5)), SaidOffline(at(4))).is_online is True


def test_the_payloads_own_clock_decides_nothing() -> None:
    lying = SaidOffline(at(5), said_at=at(-100_000))
    assert after(SaidOnline(at(0)), lying).is_online is False


def test_the_will_of_a_replaced_session_is_ignored_in_either_order() -> None:
    will, ended = SaidOffline(at(10)), Disconnected(at(10), "a", 1, replaced=True)
    opened = Connected(at(10), "b", 2)
    first = Connected(at(0), "a", 1)
    for order in ([will, ended, opened], [ended, opened, will], [opened, will, ended]):
        state = after(first, SaidOnline(at(0)), *order)
        assert state.is_online, order
        assert state.session_id == "b", order


def test_the_new_session_of_a_take_over_can_still_go_offline_by_its_own_end() -> None:
    state = after(
        Connected(at(0), "a", 1),
        Connected(at(10), "b", 2),
        SaidOffline(at(10)),
        Disconnected(at(12), "b", 2),
    )
    assert state.is_online is False


def test_a_devices_own_word_counts_right_after_a_take_over() -> None:
    state = after(
        Connected(at(0), "a", 1), Connected(at(10), "b", 2), SaidOffline(at(11), said_at=at(11))
    )
    assert state.is_online is False


def test_the_end_of_an_older_session_says_nothing_about_the_newer_one() -> None:
    state = after(Connected(at(0), "a", 1), Connected(at(10), "b", 2), Disconnected(at(20), "a", 1))
    assert (state.is_online, state.session_id, state.session_open) == (True, "b", True)


def test_a_late_connect_of_an_older_session_is_ignored() -> None:
    state = after(
        Connected(at(10), "b", 2), Disconnected(at(20), "b", 2), Connected(at(30), "a", 1)
    )
    assert (state.is_online, state.session_id) == (False, "b")


def test_versions_begin_again_after_an_hour_without_a_connection() -> None:
    state = after(
        Connected(at(0), "a", 7), Disconnected(at(1), "a", 7), Connected(at(3700), "b", 0)
    )
    assert (state.is_online, state.session_version) == (True, 0)


instants = st.floats(min_value=0, max_value=100).map(at)
evidence = st.one_of(
    instants.map(SaidOnline),
    instants.map(SaidOffline),
    st.builds(Connected, instants, st.sampled_from("abc"), st.integers(0, 5)),
    st.builds(Disconnected, instants, st.sampled_from("abc"), st.integers(0, 5), st.booleans()),
)


@given(st.lists(evidence, max_size=12))
def test_repeating_any_evidence_changes_nothing_more(pieces: list[Evidence]) -> None:
    state = after(*pieces)
    for piece in pieces[-1:]:
        assert apply(state, piece) == apply(apply(state, piece), piece)
    times = [state.state_at or T0, *(piece.at for piece in pieces)]
    assert max(times) <= at(100)
    assert state.state_at is None or state.state_at in {piece.at for piece in pieces}
