"""The count of a run."""

from __future__ import annotations

from device_sim.tally import Kind, Message, Tally


def message(kind: Kind = Kind.TELEMETRY, readings: int = 0) -> Message:
    return Message("topic", b"", kind, readings=readings)


def test_the_last_line_counts_telemetry_alone() -> None:
    tally = Tally()
    for kind in Kind:
        sent = message(kind)
        tally.published(sent)
        tally.acknowledged(sent)
    assert tally.line() == "published 1, acknowledged 1, failed 0"
    assert tally.complete
    assert any("garbage: 1 sent" in line for line in tally.remarks())


def test_what_is_outstanding_at_the_end_has_failed() -> None:
    tally = Tally()
    late = message()
    tally.published(late)
    assert tally.outstanding == 1
    assert not tally.wait_below(1, 0.01)
    tally.abandon("the end")
    tally.acknowledged(late)
    assert tally.line() == "published 1, acknowledged 0, failed 1"
    assert not tally.complete
    assert tally.as_dict()["reasons"] == {"the end": 1}


def test_a_refused_notice_makes_the_run_fail() -> None:
    tally = Tally()
    notice = message(Kind.NOTICE)
    tally.published(notice)
    tally.failed(notice, "refused by the broker (0x87)")
    assert not tally.complete
    assert tally.line() == "published 0, acknowledged 0, failed 0"


def test_an_acknowledgement_that_nobody_subscribed_to_is_remarked() -> None:
    tally = Tally()
    lonely = message(readings=3)
    tally.published(lonely)
    tally.acknowledged(lonely, routed=False)
    assert tally.as_dict()["unrouted"] == 1
    assert tally.as_dict()["readings_acknowledged"] == 3
    assert any("is the platform running?" in line for line in tally.remarks())
