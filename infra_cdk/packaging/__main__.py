"""``python -m infra_cdk.packaging [--host]``: make what Lambda gets, and say how large it is."""

from __future__ import annotations

import argparse
import subprocess
import sys

from .making import make
from .targets import for_lambda, for_this_machine


def main() -> int:
    """The command; its exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra_cdk.packaging", description=__doc__)
    parser.add_argument(
        "--host", action="store_true", help="for this machine, in build-host/, rather than Lambda"
    )
    target = for_this_machine() if parser.parse_args().host else for_lambda()
    try:
        make(target)
    except subprocess.CalledProcessError as error:
        print(
            f"build: {error.cmd[0]} failed: is the network there, and is layers/*/requirements.txt "
            "up to date (make lock)?",
            file=sys.stderr,
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
