"""``python -m local``: the whole platform on this machine, until Ctrl-C."""

from __future__ import annotations

import logging
import os
import sys

from traksense.domain.errors import TrakSenseError

from .errors import StartupError
from .home import Home
from .logs import LogHandler, PlatformLog, RotatingFile
from .processes import TreeFailedError
from .settings import LocalSettings
from .signals import StopRequestedError, StopSignals
from .supervisor import Platform


def main() -> int:
    """Run the platform; the exit status: 0 when it was asked to end, 1 when it could not go on."""
    signals = StopSignals()
    signals.install()
    try:
        settings = LocalSettings.from_environment(os.environ)
        # Nothing here leaves the machine: a person's proxy must not be asked for loopback.
        os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
        home = Home(settings.home)
        home.create()
        with home.lock():
            return _run(settings, home, signals)
    except StartupError as error:
        print(f"traksense: {error}", file=sys.stderr, flush=True)
        return 1
    except StopRequestedError:
        return 0


def _run(settings: LocalSettings, home: Home, signals: StopSignals) -> int:
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    log = PlatformLog(
        RotatingFile(home.log_file), sys.stderr, level=settings.log_level, colour=colour
    )
    platform = Platform(settings, log, signals)
    signals.on_signal(platform.wake)
    logging.basicConfig(level=logging.INFO, handlers=[LogHandler(log)], force=True)
    try:
        platform.run()
    except (StartupError, TreeFailedError, TrakSenseError) as error:
        log.emit("CRITICAL", str(error))
        return 1
    finally:
        log.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
