"""Figures: gathered over runs, printed as a table, kept in ``bench/results.json``."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

RESULTS: Final = Path(__file__).with_name("results.json")
LOAD: Final = "query_load_average"
"""The figure that tells how busy the machine was while times were taken."""


@dataclass(slots=True)
class Figures:
    """Named figures; each is the median of its runs, and all runs are kept beside it."""

    by_name: dict[str, tuple[str, list[float]]] = field(default_factory=dict)
    prefix: str = ""
    """Stands before every name that is added."""
    size: str | None = None
    """Of what was measured, where there is more than one."""

    def add(self, name: str, value: float, unit: str) -> None:
        """Add one run of a figure."""
        self.by_name.setdefault(self.prefix + name, (unit, []))[1].append(value)

    def of(self, name: str) -> float | None:
        """A figure that was added under this name; None: it was not."""
        return self.median(self.prefix + name) if self.prefix + name in self.by_name else None

    def median(self, name: str) -> float:
        """The figure itself."""
        return statistics.median(self.by_name[name][1])

    def print(self) -> None:
        """A table for people."""
        width = max(map(len, self.by_name), default=0)
        for name, (unit, runs) in self.by_name.items():
            spread = f"{_shown(min(runs))} to {_shown(max(runs))}, {len(runs)} runs"
            print(f"{name:<{width}}  {_shown(statistics.median(runs)):>12} {unit:<12} {spread}")

    def write(self, path: Path = RESULTS) -> None:
        """Put the figures into the results file; those of other benchmarks stay."""
        known = json.loads(path.read_text("utf-8")) if path.exists() else {}
        for name, (unit, runs) in self.by_name.items():
            known[name] = {
                "value": _rounded(statistics.median(runs)),
                "unit": unit,
                "runs": [_rounded(run) for run in runs],
            }
            if self.size is not None:
                known[name]["size"] = self.size
        text = json.dumps(dict(sorted(known.items())), indent=2)
        path.write_text(text + "\n", "utf-8")


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
