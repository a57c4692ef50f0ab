"""``vhdprep doctor``: what this host can do, and what is lost without the rest."""

from __future__ import annotations

import typer

_PARTS = (
    ("pyvhdi", "libvhdi-python", "the second opinion on copies that prepare makes"),
    ("pyfsext", "libfsext-python", "ext2, ext3 and ext4"),
    ("pyfsxfs", "libfsxfs-python", "XFS"),
    ("pyfsfat", "libfsfat-python", "FAT, so the EFI system partition"),
    ("google_crc32c", "google-crc32c", "VHDX, ext4, XFS, btrfs and UFS, whose checksums it computes"),
    ("pyfwnt", "libfwnt-python", "compressed files on NTFS"),
    ("zlib_ng", "zlib-ng", "initramfs packed with gzip"),
    ("zstandard", "zstandard", "initramfs and btrfs packed with Zstandard"),
    ("lz4.block", "lz4", "initramfs packed with lz4"),
    ("lzma", None, "initramfs packed with xz"),
    ("bz2", None, "initramfs packed with bzip2"),
)
_EXTRAS = (
    ("securesystemslib", "attest", "signed statements: check --attest, verify"),
    ("sqlalchemy", "audit", "the history of reports: audit"),
    ("psycopg", "audit-postgresql", "the history on a PostgreSQL server"),
    ("distributed", "fleet", "fleet check --scheduler, on the workers of a Dask cluster"),
)
"""What only some need: module, extra, what it is for."""


def _version(package: str | None) -> str:
    from importlib import metadata

    try:
        return metadata.version(package) if package else "with Python"
    except metadata.PackageNotFoundError:
        return "version unknown"


def _cure(package: str | None) -> str:
    """The command that installs a part: of this Python's packages, or a Python that was built with all of its own."""
    import sys

    return f"{sys.executable} -m pip install {package}" if package else "sudo apt-get install python3-full, and use that Python"


_APPLIANCE = (
    "LUKS with a key, arrays of kinds that are not read here, thin LVM2, journals that wait to be replayed, and the comparison with `--backend both`"
)


_NETWORK = (("aiohttp", "remote", "images at https:// addresses"), ("adlfs", "azure", "images at abfs:// and az:// addresses"))


def _say_network() -> None:
    """Whether images can be read where they lie; nothing of these is loaded for that."""
    from importlib.util import find_spec

    for module, extra, what in _NETWORK:
        if find_spec("fsspec") and find_spec(module):
            typer.echo(f"  works    {module:<13} {_version(module):<14} {what}")
        else:
            cure = _cure(f"'vhdprep[{extra}]'")
            typer.echo(f"  missing  {module:<13} not read without it: {what}; run: {cure}")


def _say_appliance(*, start: bool) -> None:
    """Whether libguestfs can be used, and with which acceleration if it was started."""
    from vhdprep.disk.guestfs.appliance import Appliance, obstacle
    from vhdprep.errors import BackendUnavailable

    typer.echo("backends: native (in process, no root needed), and where the host has it:")
    why = obstacle()
    try:
        said = Appliance.try_out(lambda text: typer.echo(text, err=True)) if start and why is None else "not started; `doctor --appliance` does it"
    except BackendUnavailable as error:
        why = str(error)
    typer.echo(
        f"  works    guestfs       {said:<14} {_APPLIANCE}" if why is None else f"  missing  guestfs       not done without it: {_APPLIANCE}: {why}"
    )


def _say_rehearsal() -> None:
    """Whether images can be booted here, how fast, and by which networks."""
    from vhdprep.errors import BackendUnavailable
    from vhdprep.rehearse.machine import firmware
    from vhdprep.rehearse.network import namespace

    what = "rehearse, and prepare --rehearse"
    if lacking := firmware.missing_modules():
        typer.echo(f"  missing  {'rehearse':<13} not done without it: {what} ({', '.join(lacking)}); run: {_cure(firmware.EXTRA)}")
        return
    try:
        host = firmware.find(uefi=True)
    except BackendUnavailable as error:
        typer.echo(f"  missing  {'QEMU':<13} not done without it: {what}: {error}")
        return
    speed = "with KVM" if firmware.accelerated() else "without KVM: a boot takes two minutes"
    typer.echo(f"  works    {'QEMU':<13} {host.version:<14} {what}, {speed}")
    if why := namespace.obstacle():
        typer.echo(f"  missing  {'namespace':<13} rehearse --network namespace, of which the relay has no need: {why}")
    else:
        typer.echo(f"  works    {'namespace':<13} rehearse --network namespace")


def _say_extras() -> None:
    """Which of the extras are there; they are not imported, for some take long."""
    from importlib.util import find_spec

    typer.echo("extras:")
    for module, extra, what in _EXTRAS:
        if find_spec(module):
            typer.echo(f"  works    {extra:<13} {_version(module):<14} {what}")
        else:
            typer.echo(f"  missing  {extra:<13} not done without it: {what}; run: {_cure(f'{chr(39)}vhdprep[{extra}]{chr(39)}')}")


def doctor(
    appliance: bool = typer.Option(False, "--appliance", help="Start libguestfs's appliance as well; without KVM that takes half a minute."),
) -> None:
    """Show what this host can read, and the command that gets what is missing; exit 2 when a reader is missing."""
    import importlib.util
    import platform
    import warnings

    from vhdprep import __version__
    from vhdprep.guest import tables
    from vhdprep.ruleset.load import load_rules

    typer.echo(f"vhdprep {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}")
    typer.echo(f"rules: {len(load_rules())} ({tables.builtin_rules_dir()})")
    typer.echo("tables: " + ", ".join(f"{name} of {tables.read(name)['as_of']}" for name in tables.names()))
    missing = 0
    for module, package, what in _PARTS:
        try:
            with warnings.catch_warnings(action="ignore", category=RuntimeWarning):
                found = importlib.import_module(module)
        except ImportError as error:
            missing += 1
            typer.echo(f"  missing  {module:<13} not read without it: {what} ({error}); run: {_cure(package)}")
        else:
            version = _version(package)
            slow = (
                f", but slowly: its C part is missing; run: {_cure(package)} --force-reinstall"
                if getattr(found, "implementation", "c") == "python"
                else ""
            )
            typer.echo(f"  works    {module:<13} {version:<14} {what}{slow}")
    _say_extras()
    typer.echo("rehearsal, where the host has it:")
    _say_rehearsal()
    typer.echo("network, where the host has it:")
    _say_network()
    _say_appliance(start=appliance)
    if missing:
        raise typer.Exit(2)
