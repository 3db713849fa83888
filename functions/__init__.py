"""What Lambda calls, a folder for each function or kind of them."""

from __future__ import annotations

import gc

# Python looks for cycles after each 700 objects that stay (2,000 in newer versions). An import
# makes far more, all of which stay: of a cold start that search is a tenth.
gc.set_threshold(20_000, 10, 10)
