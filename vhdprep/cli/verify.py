"""``vhdprep verify``: whether this is the image that an attestation is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vhdprep import location
from vhdprep.cli import common, digests
from vhdprep.cli.progress import Progress
from vhdprep.errors import NotProven, UsageError
from vhdprep.report.words import safe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vhdprep.attest.verify import Proven

_EXIT_NOT_PROVEN = 1

AttestationArgument = Annotated[Path, typer.Argument(metavar="ATTESTATION", help="What check --attest wrote.", show_default=False)]
PublicKeyOption = Annotated[Path, typer.Option("--key", metavar="FILE", help="The signer's public key (PEM).", show_default=False)]
SavedOption = Annotated[
    Path | None, typer.Option("--report", metavar="FILE", help="A JSON report that must be the one that was attested.", show_default=False)
]


def verify(
    attestation: AttestationArgument,
    image: common.ImageArgument,
    key: PublicKeyOption,
    data: common.DataOption = None,
    saved: SavedOption = None,
    rules: common.RulesOption = None,
) -> None:
    """Tell whether IMAGE is the one that was judged, what was judged, and whether rules have changed since.

    Exit code: 0 it is, 1 it is not or the attestation does not hold, 2 nothing was compared.
    """
    from vhdprep import savedreport
    from vhdprep.attest.verify import verify as prove
    from vhdprep.ruleset.load import load_rules

    given = savedreport.read(saved).values if saved else None
    images = digests.on_this_machine([location.parse(each) for each in (image, *(data or ()))])
    try:
        with Progress() as progress:
            proven = prove(attestation, key, images, load_rules(tuple(rules or ())), progress)
        if given is not None and json.dumps(given, sort_keys=True) != json.dumps(proven.report, sort_keys=True):
            raise NotProven(f"{saved}: is not the report that was attested")
    except NotProven as error:
        common.say(f"NOT PROVEN: {safe(str(error))}")
        raise typer.Exit(_EXIT_NOT_PROVEN) from error
    common.say("\n".join(_lines(attestation, proven)))


def _lines(attestation: Path, proven: Proven) -> Iterator[str]:
    report = proven.report
    try:
        judged = f"{report['verdict']} as {report['target']}, on {report['run']['started']} by vhdprep {report['tool']['version']}"
        failed = [each for each in report["findings"] if each["outcome"] == "fail"]
        waived = [each for each in report["findings"] if each["outcome"] == "waived"]
        names = ", ".join(each["rule_id"] for each in failed if each["severity"] == "error") or "none"
    except (KeyError, TypeError) as error:
        raise UsageError(f"{attestation}: the report in it is no report of vhdprep") from error
    yield f"PROVEN: {'this is the image that was judged' if proven.same_files else 'this is the disk that was judged, in another container'}"
    yield safe(f"  {judged}")
    yield safe(f"  {len(report['findings'])} rules; {len(failed)} failed, errors among them: {names}; {len(waived)} waived")
    if proven.same_rules:
        yield "  these rules are the same today"
    else:
        gone = f"; there is none of {', '.join(proven.gone_rules)} any more" if proven.gone_rules else ""
        yield safe(f"  rules have changed since{gone}; check the image again to see what they say today")
