"""One platform for all the tests that leave it running."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.platform import RunningPlatform, running


@pytest.fixture(scope="session")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """A platform with the demo's data and nobody to play its devices."""
    with running(tmp_path_factory.mktemp("platform") / "home") as started:
        yield started
