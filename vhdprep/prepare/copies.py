"""The copies of a machine's disks while they are written: of one disk a file, of several a folder; all appear at once, or none."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.prepare.partial import Partial, partial, partial_folder, refuse_existing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vhdprep.declared import Declared
    from vhdprep.model import Target

LEDGER = "changes.json"
"""What the list of changes is called; beside a single copy with its name before it."""
MANIFEST = "manifest.yaml"


class Copies(NamedTuple):
    """All of them."""

    disks: Sequence[Partial]
    """The operating system's first."""
    ledger: Path
    """Where the list of changes will be."""
    publish: Callable[[str, Target, Declared | None], None]
    """Give them their names, with this list; see ``Partial.publish`` for what it raises."""


@contextmanager
def open_copies(destination: Path, sources: Sequence[Path]) -> Iterator[Copies]:
    """Empty files for copies of ``sources``; what was not published is gone when the block ends.

    Raises:
        UsageError: something stands there, nothing may be written there, or another run is at it.
    """
    with _one(destination) if len(sources) == 1 else _several(destination, sources) as copies:
        yield copies


@contextmanager
def _one(destination: Path) -> Iterator[Copies]:
    with partial(destination) as work:
        refuse_existing(ledger := destination.with_name(f"{destination.name}.{LEDGER}"))

        def publish(text: str, _target: Target, _declared: Declared | None) -> None:
            with partial(ledger) as beside:
                beside.write(text)
                work.publish()
                beside.publish()

        yield Copies((work,), ledger, publish)


@contextmanager
def _several(destination: Path, sources: Sequence[Path]) -> Iterator[Copies]:
    with partial_folder(destination) as folder, ExitStack() as stack:
        disks = [Partial(destination / name, folder.path / name, stack.enter_context(folder.open(name))) for name in _names(sources)]

        def publish(text: str, target: Target, declared: Declared | None) -> None:
            for name, content in ((LEDGER, text), (MANIFEST, _manifest(disks, target, declared))):
                with folder.open(name) as file:
                    Partial(destination / name, folder.path / name, file).write(content)
                    os.fsync(file.fileno())
            for each in disks:
                os.fsync(each.file.fileno())
            folder.publish()

        yield Copies(disks, destination / LEDGER, publish)


def _names(sources: Sequence[Path]) -> list[str]:
    """File names of the copies: those of the sources, and where two would be the same, with what each disk is before all of them."""
    stems = [each.stem.encode("utf-8", "ignore").decode() or "disk" for each in sources]  # the manifest is text
    if len({each.casefold() for each in stems}) < len(stems):
        roles = ["os", *(f"data{number}" for number in range(len(sources) - 1))]
        stems = [f"{role}-{stem}" for role, stem in zip(roles, stems, strict=True)]
    return [f"{stem}.vhd" for stem in stems]


def _manifest(disks: Sequence[Partial], target: Target, declared: Declared | None) -> str:
    """What the copies are, to be checked again: JSON after a line of comment is YAML, which has no pairs of surrogates."""
    luns = [each.lun for each in declared.disks] if declared else [None, *range(len(disks) - 1)]
    listed = [
        {"file": each.destination.name, "role": "os"} if lun is None else {"file": each.destination.name, "lun": lun}
        for each, lun in zip(disks, luns, strict=True)
    ]
    fields = {**(declared.fields if declared else {}), "destination": str(target), "disks": listed}
    text = json.dumps(fields, ensure_ascii=False, indent=2)
    plain = "".join(each if each == "\n" or (each.isascii() and each.isprintable()) else f"\\U{ord(each):08x}" for each in text)
    return f"# vhdprep check --manifest manifest.yaml\n{plain}\n"
