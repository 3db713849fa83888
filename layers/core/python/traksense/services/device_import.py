"""Devices out of a CSV file (RFC 4180): all of it, or nothing with everything that is wrong."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from traksense.contracts.topics import (
    DEVICE_NAME_PATTERN,
    SLUG_PATTERN,
    TopicError,
    normalise_mac,
)
from traksense.domain.errors import Invalid
from traksense.i18n.catalogue import Text, text
from traksense.services.device_writes import (
    DeviceWrites,
    Faulty,
    MadeDevice,
    NewDevice,
)
from traksense.services.scope import Scope

MOST_ROWS: Final = 10_000
MOST_FAULTS: Final = 200
"""What is listed; how many there are is said all the same."""
LONGEST_FIELD: Final = 4096

REQUIRED: Final = ("name", "site", "template")
OPTIONAL: Final = ("version", "mac", "gateway", "gateway_code", "points")
METADATA: Final = "metadata."
"""Begins the name of a column that is entered into the metadata: ``metadata.room``."""

_FORMS: Final[Mapping[str, re.Pattern[str]]] = {
    "name": re.compile(DEVICE_NAME_PATTERN),
    "site": re.compile(SLUG_PATTERN),
    "template": re.compile(r"[a-z0-9_-]{1,64}"),
    "version": re.compile(r"[1-9][0-9]{0,8}"),
    "gateway": re.compile(DEVICE_NAME_PATTERN),
    "gateway_code": re.compile(r"[^\x00-\x1f\x7f-\x9f]{1,64}"),
}
_PLAIN: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f]*")
_METADATA_NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Imported:
    """A device with the line of the file that it stands in."""

    line: int
    device: MadeDevice


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    device: NewDevice


@dataclass(frozen=True, slots=True)
class LineFault:
    """What is wrong with one value. Lines count from 1, the header's."""

    line: int
    column: str
    message: Text


class DeviceImport:
    """Takes files of devices in."""

    def __init__(self, devices: DeviceWrites) -> None:
        self._devices = devices

    def run(self, scope: Scope, content: str, *, dry_run: bool) -> Sequence[Imported]:
        """Add every device of a file with its points, or, as ``dry_run``, say what would be.

        Raises Invalid with what is wrong, by lines, and as DeviceWrites.add does.
        """
        rows, faults = read(content)
        try:
            made = self._devices.add(
                scope, [row.device for row in rows], dry_run=dry_run or bool(faults)
            )
        except Faulty as faulty:
            made = ()
            # A gateway whose own line is at fault is not missing.
            broken = {fault.message.params.get("value") for fault in faults}
            faults += [
                LineFault(rows[fault.index].line, fault.field, fault.message)
                for fault in faulty.faults
                if not (fault.field == "gateway" and rows[fault.index].device.gateway in broken)
            ]
        if faults:
            raise _invalid(sorted(faults, key=lambda fault: (fault.line, fault.column)))
        return [Imported(row.line, device) for row, device in zip(rows, made, strict=True)]


def read(content: str) -> tuple[list[_Row], list[LineFault]]:
    """The rows of a file that can be read, and what is wrong with the others.

    Columns may stand in any order; the header tells whether ``,`` or ``;`` divides them. Raises
    Invalid where the file as a whole is no list of devices.
    """
    header_line = content.partition("\n")[0]
    divider = ";" if header_line.count(";") > header_line.count(",") else ","
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=divider, strict=True)
    try:
        columns = _columns(next(reader, []))
        rows: list[_Row] = []
        faults: list[LineFault] = []
        count = 0
        for line, values in _lines(reader):
            count += 1
            if count > MOST_ROWS:
                raise _whole("import.too_many_rows", most=MOST_ROWS)
            if len(values) != len(columns):
                faults.append(
                    LineFault(
                        line, "", text("import.columns", given=len(values), wanted=len(columns))
                    )
                )
                continue
            named = dict(zip(columns, map(str.strip, values), strict=True))
            own = list(_faults(line, named))
            if own:
                faults += own
            else:
                rows.append(_Row(line, _device(named)))
    except csv.Error:
        raise _whole("import.unreadable", line=reader.line_num) from None
    if not count:
        raise _whole("import.empty")
    return rows, faults


def _lines(reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not empty, with the line that each begins in."""
    begins = reader.line_num + 1  # type: ignore[attr-defined] # csv's readers have it
    for values in reader:
        if any(value.strip() for value in values):
            yield begins, values
        begins = reader.line_num + 1  # type: ignore[attr-defined]


def _columns(header: Sequence[str]) -> list[str]:
    columns = [name.strip() for name in header]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise _whole("import.missing_columns", columns=", ".join(missing))
    for name in columns:
        is_metadata = name.startswith(METADATA) and _METADATA_NAME.fullmatch(
            name.removeprefix(METADATA)
        )
        if not is_metadata and name not in (*REQUIRED, *OPTIONAL):
            raise _whole("import.unknown_column", column=name[:64])
        if columns.count(name) > 1:
            raise _whole("import.column_twice", column=name[:64])
    return columns


def _faults(line: int, named: Mapping[str, str]) -> Iterator[LineFault]:
    for column, value in named.items():
        form = _FORMS.get(column)
        if not value:
            if column in REQUIRED:
                yield LineFault(line, column, text("validation.missing"))
        elif len(value) > LONGEST_FIELD or not _PLAIN.fullmatch(value):
            yield LineFault(line, column, text("validation.control_characters"))
        elif form is not None and not form.fullmatch(value):
            yield LineFault(line, column, text("import.form", value=value[:64]))
        elif column == "mac" and _mac(value) is None:
            yield LineFault(line, column, text("validation.device_mac"))


def _device(named: Mapping[str, str]) -> NewDevice:
    points = named.get("points", "")
    version = named.get("version")
    mac = named.get("mac")
    return NewDevice(
        name=named["name"],
        site=named["site"],
        template=named["template"],
        version=int(version) if version else None,
        mac=_mac(mac) if mac else None,
        gateway=named.get("gateway") or None,
        gateway_code=named.get("gateway_code") or None,
        metadata={
            column.removeprefix(METADATA): value
            for column, value in named.items()
            if column.startswith(METADATA) and value
        },
        points=tuple(points.split()) if points else None,
    )


def _mac(value: str) -> str | None:
    try:
        return normalise_mac(value)
    except TopicError:
        return None


def _whole(key: str, **params: object) -> Invalid:
    message = text(key, **params)
    return Invalid(message, (("body", message),))


def _invalid(faults: Sequence[LineFault]) -> Invalid:
    listed = faults[:MOST_FAULTS]
    return Invalid(
        text("import.faults", count=len(faults), listed=len(listed)),
        tuple(
            (f"body.{fault.line}" + (f".{fault.column}" if fault.column else ""), fault.message)
            for fault in listed
        ),
    )
