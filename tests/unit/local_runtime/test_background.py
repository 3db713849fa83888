from __future__ import annotations

import threading

import pytest

from local.background import Background


def test_a_result_is_waited_for() -> None:
    released = threading.Event()

    def work() -> int:
        released.wait(5)
        return 7

    background = Background("work", work)
    assert not background.wait(0.01)
    assert not background.done
    released.set()
    assert background.result() == 7
    assert background.done


def test_an_error_is_raised_where_the_result_is_asked_for() -> None:
    def fail() -> None:
        raise ValueError("no")

    background = Background("fail", fail)
    assert background.wait(5)
    with pytest.raises(ValueError, match="no"):
        background.result()
