"""The command."""

from __future__ import annotations

import sys

from traksense.db.move.cli import main

if __name__ == "__main__":
    sys.exit(main())
