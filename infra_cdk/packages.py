"""What Lambda gets: the code of functions and the layers that ``make build`` made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_lambda as lambda_

from infra_cdk.packaging.names import NAMES
from infra_cdk.packaging.targets import ROOT


class NotBuilt(Exception):
    """A package is not there; the message says how it is made."""


@dataclass(frozen=True, slots=True)
class Packages:
    """The ZIP files that functions are made of."""

    folder: Path

    @classmethod
    def built(cls, folder: Path = ROOT / "build") -> Packages:
        """What ``make build`` made. Raises NotBuilt."""
        if missing := [name for name in NAMES if not (folder / f"{name}.zip").is_file()]:
            raise NotBuilt(f"{folder} has no {', '.join(missing)}: make build makes them")
        return cls(folder)

    def code(self, name: str) -> lambda_.Code:
        """One of them, as it is uploaded."""
        return lambda_.Code.from_asset(str(self.folder / f"{name}.zip"))
