"""What certification asks of an image for the marketplace: the dated table ``rules/data/marketplace.yaml`` as values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vhdprep.guest import tables
from vhdprep.policy import Decision, PolicyItem, SelfTest

if TYPE_CHECKING:
    from collections.abc import Mapping

TABLE = "marketplace"


def items() -> tuple[PolicyItem, ...]:
    """Every item of the policies and every test case, in the table's order."""
    table = tables.read(TABLE)
    return tuple(_item(each, table["sources"]) for each in table["items"])


def _item(stated: Mapping[str, Any], sources: Mapping[str, str]) -> PolicyItem:
    return PolicyItem(
        id=stated["id"],
        number=stated["number"],
        title=stated["title"],
        decision=Decision(stated["class"]),
        systems=tuple(stated.get("systems", ())),
        rules=tuple(stated.get("rules", ())),
        show=stated.get("show"),
        test=SelfTest(**stated["test"]) if "test" in stated else None,
        source=sources[stated["source"]],
    )
