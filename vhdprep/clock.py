"""When a run began, and how long it takes: what no two runs have in common."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """When a run began, and how long it has taken."""

    def __init__(self) -> None:
        """It begins now."""
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self._begin = time.perf_counter()

    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._begin
