r"""Where a Windows stands between Setup, Sysprep and use: what each place says, and what follows from all of them.

``ImageState`` decides first, ``State.ini`` may contradict it, ``SYSTEM\Setup`` tells what the next start runs. In audit mode
that is the same as in a sealed image, so only ``ImageState`` tells the two apart. ``GeneralizationState`` is shown and decides
nothing: machines in use have the value that many scripts take for generalized.

Sysprep's own log (``guest/sealing``) tells last, where the others leave a Windows that is in use or whose Setup is unfinished: its last
run failed or was interrupted (Sysprep puts ``UNDEPLOYABLE`` there while it generalizes, and leaves it where it halts), or it succeeded, and
then Windows was started since. A failure before a success is past: the log's last run counts, and Sysprep deletes the tag where it
begins, so a tag that is there speaks of a later success than the log. A log that cannot be read leaves the phase open only there.
"""

from __future__ import annotations

import re
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from vhdprep.errors import Unreadable
from vhdprep.guest import sealing
from vhdprep.guest.formats import windowstext
from vhdprep.guest.image import once
from vhdprep.model import ABSENT, Observation, Phase, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from vhdprep.guest.image import Guest

SEALED, SEALED_FOR_AUDIT = "IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_GENERALIZE_RESEAL_TO_AUDIT"
RESEALED, IN_AUDIT = "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE", "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT"
COMPLETE, UNDEPLOYABLE = "IMAGE_STATE_COMPLETE", "IMAGE_STATE_UNDEPLOYABLE"
STATES = (SEALED, SEALED_FOR_AUDIT, RESEALED, IN_AUDIT, COMPLETE, UNDEPLOYABLE)

TAG = "/Windows/System32/Sysprep/Sysprep_succeeded.tag"
STATE_FILE = "/Windows/Setup/State/State.ini"
_STATE_KEY = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup\State"
_SETUP = r"HKLM\SYSTEM\Setup"
_CHILDREN, _PASSES = rf"{_SETUP}\Status\ChildCompletion", rf"{_SETUP}\Status\UnattendPasses"
_BEGUN = 1
_BY_THE_LOG = ("in-use", "setup-unfinished")
"""What is said only where Sysprep's log tells of no run."""
_WINDEPLOY = re.compile(r'(?i)(^"?|\\)oobe\\windeploy\.exe"?\s*$')
_MAX_FILE = 64 * 1024
_MAX_PASSES, _MAX_PASS = 20, 100


class Evidence(NamedTuple):
    """What decides."""

    registry: Value
    """``ImageState``"""
    file: Value
    """The same in ``State.ini``."""
    setup_type: Value
    command: Value
    """``CmdLine``"""
    children: tuple[Value, ...]
    """How far Setup's programs came since the image was applied or sealed: 1 = begun, 3 = done."""
    tag: Value
    """Sysprep's mark of success; the first start leaves it behind."""
    run: Value = ABSENT
    """How Sysprep's last run went, by its log: ``succeeded | interrupted``, or why it failed."""

    @property
    def next_start(self) -> str:
        """``setup``, the ``logon`` screen, or another ``program`` that Setup's hook runs."""
        if self.setup_type not in (1, 2) or not isinstance(self.command, str) or not self.command.strip():
            return "logon"
        return "setup" if _WINDEPLOY.search(self.command) else "program"


def decide(seen: Evidence) -> str:
    """The phase; ``Phase.name`` lists them."""
    state = seen.registry
    if state not in STATES or seen.file not in (ABSENT, state):
        return "contradictory"
    if state in (SEALED_FOR_AUDIT, IN_AUDIT):
        return "sealed-audit" if state == SEALED_FOR_AUDIT else "audit"
    if state == SEALED:
        fits = seen.file == state and seen.next_start != "logon" and _BEGUN not in seen.children
        return "sealed-oobe" if fits else "contradictory"
    if state == COMPLETE and seen.next_start == "setup":
        return "contradictory"
    if seen.tag is not ABSENT or seen.run == sealing.SUCCEEDED:
        return "booted-again"
    if seen.run is not ABSENT:
        return "sysprep-interrupted" if seen.run == sealing.INTERRUPTED else "sysprep-failed"
    unfinished = state == UNDEPLOYABLE or (state == RESEALED and seen.next_start != "logon")
    return "setup-unfinished" if unfinished else "in-use"


def find(guest: Guest) -> Phase:
    """The phase and every witness; where one that decides cannot be read, the name is None and the witness says why."""
    return _look(guest)[0]


def need(guest: Guest) -> Phase:
    """The same.

    Raises:
        Unreadable: the phase cannot be told.
    """
    found, unread = _look(guest)
    if found.name is None:
        raise Unreadable("; ".join(dict.fromkeys(unread)))
    return found


@once
def _look(guest: Guest) -> tuple[Phase, tuple[str, ...]]:
    """The phase, and why witnesses that decide could not be read."""
    registry = guest.need_registry()
    unread: list[str] = []
    witnesses: list[Observation] = []

    def see(where: str, look: Callable[[], Value]) -> Value:
        try:
            value = look()
        except Unreadable as error:
            unread.append(str(error))
            value = str(error)
        witnesses.append(Observation(value, where))
        return value

    def value(key: str, name: str) -> Value:
        return see(f"{key}\\{name}", lambda: registry.value(key, name))

    seen = Evidence(
        registry=value(_STATE_KEY, "ImageState"),
        file=see(STATE_FILE, lambda: _state_file(guest)),
        setup_type=value(_SETUP, "SetupType"),
        command=value(_SETUP, "CmdLine"),
        children=(value(_CHILDREN, "setup.exe"), value(_CHILDREN, "oobeldr.exe")),
        tag=see(TAG, lambda: "present" if guest.files.is_file(TAG) else ABSENT),
    )
    decisive = tuple(unread)
    try:
        run = sealing.last_run(guest)
    except Unreadable as error:
        unread.append(str(error))
        run = Observation(ABSENT, sealing.FOLDER, (Observation(str(error), sealing.FOLDER),))
    witnesses.extend(run.parts[:1] or (run,))
    name = decide(seen._replace(run=run.value))
    if not decisive and name in _BY_THE_LOG:
        decisive = tuple(unread)
    for each in ("OOBEInProgress", "SystemSetupInProgress"):
        value(_SETUP, each)
    see(_PASSES, lambda: _passes(guest))
    value(rf"{_SETUP}\Status\SysprepStatus", "GeneralizationState")
    return Phase(None if decisive else name, tuple(witnesses)), decisive


def _state_file(guest: Guest) -> Value:
    found = guest.files.stat(STATE_FILE)
    if found is None:
        return ABSENT
    if found.size > _MAX_FILE:
        raise Unreadable(f"{STATE_FILE}: {found.size} bytes are too many for this file")
    state = windowstext.ini_value(windowstext.decode(guest.files.read(STATE_FILE, _MAX_FILE)), "State", "ImageState")
    return ABSENT if state is None else state


def _passes(guest: Guest) -> Value:
    """How far each pass of an answer file came."""
    key = guest.need_registry().key(_PASSES)
    return ABSENT if key is None else tuple(f"{name}={value}"[:_MAX_PASS] for name, value in islice(key.values(), _MAX_PASSES))
