"""``vhdprep inspect``: the same reading without rules."""

from __future__ import annotations

from typing import Annotated

import typer

from vhdprep.cli import common

ContainerOption = Annotated[bool, typer.Option("--container-only", help="Stop before the partition table.")]


def inspect(
    image: common.MaybeImageArgument = None,
    data: common.DataOption = None,
    root: common.RootOption = None,
    manifest: common.ManifestOption = None,
    report_format: common.LookFormatOption = "text",
    output: common.OutputOption = None,
    reports: common.ReportOption = None,
    backend: common.BackendOption = "auto",
    key_file: common.KeyOption = None,
    container_only: ContainerOption = False,
    verbose: common.VerboseOption = False,
) -> None:
    """Show container, volumes and guest."""
    from vhdprep.check import inspect as run_inspect
    from vhdprep.isolate import finished, shield

    subject = common.subject(image, root, data, manifest)
    pairs = common.parse_reports(subject.files, reports, (report_format, output))
    report = run_inspect(
        subject.path,
        data=subject.data,
        declared=subject.declared,
        backend=backend,
        container_only=container_only,
        tree=subject.is_tree,
        key=common.read_key(key_file),
        avoid=shield(),
    )
    common.write_reports(report, pairs, verbose=verbose)
    finished()
