"""From findings to the answer: a pure function, fail closed."""

from __future__ import annotations

from vhdprep.model import Finding, Outcome, Severity, Verdict


def judge(findings: tuple[Finding, ...], gaps: tuple[str, ...], fail_on: Severity = Severity.ERROR) -> Verdict:
    """The verdict of findings and gaps.

    A failed ``error`` rule is not-ready; an undecided one, or anything that had to be read and was not, is inconclusive, and so is
    a run in which no ``error`` rule applied; only the rest is ready. With ``fail_on`` a warning, warnings count as errors do.
    """
    counting = (Severity.ERROR, fail_on)
    outcomes = [finding.outcome for finding in findings if finding.severity in counting]
    if Outcome.FAIL in outcomes:
        return Verdict.NOT_READY
    judged = any(each is not Outcome.NOT_APPLICABLE for each in outcomes)
    if Outcome.UNKNOWN in outcomes or gaps or not judged:
        return Verdict.INCONCLUSIVE
    return Verdict.READY
