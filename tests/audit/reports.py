"""Reports to be recorded, as small as they may be."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial

from vhdprep.audit import entry, history

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def finding(rule, outcome="fail", severity="error", where="/etc/x"):
    seen = [{"where": where, "value": "there"}] if outcome == "fail" else []
    return {"rule_id": rule, "severity": severity, "outcome": outcome, "observations": seen}


def values(name="web.vhd", verdict="ready", started="2026-11-01T10:00:00+00:00", findings=(), **more):
    """A report as plain values."""
    return {
        "schema": "vhdprep-report/1",
        "tool": {"name": "vhdprep", "version": "1.0"},
        "ruleset": {"digest": "a" * 64, "rules": 1, "left_out": 0},
        "subject": f"/images/{name}",
        "target": "generalized",
        "verdict": verdict,
        "gaps": [],
        "disks": [],
        "findings": list(findings),
        "run": {"started": started, "seconds": 0.1, "backend": "native"},
        **more,
    }


def day(number, hour=10):
    """A time of November 2026, as a report has it."""
    return f"2026-11-{number:02}T{hour:02}:00:00+00:00"


def written(**more):
    return json.dumps(values(**more)).encode()


def recorded(store, data, image=None):
    """Record these bytes."""
    found = entry.of(data, "report.json", image, NOW)
    (done,) = store.write(partial(history.record, entries=[found], now=NOW))
    return done


def not_ready(name, started, *rules):
    return written(name=name, verdict="not-ready", started=started, findings=[finding(rule) for rule in rules])
