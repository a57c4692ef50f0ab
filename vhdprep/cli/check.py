"""``vhdprep check``: the main job."""

from __future__ import annotations

import gc
from typing import Annotated

import typer

from vhdprep.cli import common, digests
from vhdprep.cli import gate as gates
from vhdprep.cli.progress import Progress
from vhdprep.errors import UsageError
from vhdprep.isolate import finished, shield
from vhdprep.model import Target

AsOption = Annotated[Target | None, typer.Option("--as", help="What the image is to become.", show_default="generalized, or as the manifest says")]
SelectOption = Annotated[
    list[str] | None,
    typer.Option(
        "--select", metavar="RULES", help="Only these rules: id, glob or tag:NAME.", show_default=False, autocompletion=common.complete_rules
    ),
]
IgnoreOption = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore", metavar="RULES", help="Not these rules: id, glob or tag:NAME.", show_default=False, autocompletion=common.complete_rules
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print the verdict line only.")]


def check(
    image: common.MaybeImageArgument = None,
    data: common.DataOption = None,
    root: common.RootOption = None,
    manifest: common.ManifestOption = None,
    target: AsOption = None,
    report_format: common.FormatOption = "text",
    output: common.OutputOption = None,
    reports: common.ReportOption = None,
    rules: common.RulesOption = None,
    selected: SelectOption = None,
    ignored: IgnoreOption = None,
    waivers: gates.WaiversOption = None,
    baseline: gates.BaselineOption = None,
    fail_on: gates.FailOnOption = "error",
    digest: digests.DigestOption = False,
    attest: digests.AttestOption = None,
    sign_key: digests.SignKeyOption = None,
    backend: common.BackendOption = "auto",
    key_file: common.KeyOption = None,
    verbose: common.VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Judge an image.

    Exit code: 0 ready, 1 not ready, 2 nothing was judged, 3 inconclusive.
    """
    gc.disable()  # one short run: collecting costs more than it frees
    subject = common.subject(image, root, data, manifest)
    wanted = subject.target(target)
    gate = gates.read(subject.path, waivers, baseline, fail_on, rules or ())
    taken = digests.take(subject, attest, sign_key, wanted=digest)
    avoid = shield()  # before anything large is in memory
    from vhdprep.check import check as run_check
    from vhdprep.report.text import verdict_line
    from vhdprep.ruleset.load import load_rules, select

    pairs = common.parse_reports(subject.files, reports, (report_format, output), wanted)
    if quiet and not output:
        pairs = pairs[1:]
    known = load_rules(tuple(rules or ()))
    chosen = select(known, tuple(selected or ()), tuple(ignored or ()))
    left_out = len(known) - len(chosen)
    key = common.read_key(key_file)
    with Progress(after=1) as progress:
        report = run_check(
            subject.path,
            chosen,
            data=subject.data,
            declared=subject.declared,
            target=wanted,
            backend=backend,
            tree=subject.is_tree,
            key=key,
            avoid=avoid,
            progress=progress,
        )
    report = gate.apply(report._replace(left_out=left_out), chosen)
    if taken:
        report = taken.attach(report)
    if attest and sign_key:
        digests.write_attestation(report, attest, sign_key)
    common.write_reports(report, pairs, verbose=verbose)
    if quiet or output:
        common.say(verdict_line(report, colour=common.use_colour()))
    finished()
    if report.verdict is None:
        raise UsageError("nothing was judged")
    raise typer.Exit(common.EXIT_CODES[report.verdict])
