"""``mdadm.conf`` (mdadm.conf(5)): which arrays go by which name."""

from __future__ import annotations

from vhdprep.guest.formats.textlines import lines


def knows(text: str, uuid: str | None, name: str | None) -> bool:
    """Whether an array is listed, by its UUID or its name, or names are taken as they are whichever host gave them (``HOMEHOST <ignore>``)."""
    bare = (uuid or "").replace("-", "").replace(":", "").casefold()
    for words in _statements(text):
        keyword = words[0].casefold()
        if keyword == "homehost" and "<ignore>" in (each.casefold() for each in words[1:]):
            return True
        if keyword != "array":
            continue
        given = dict(each.casefold().split("=", 1) for each in words[1:] if "=" in each)
        if bare and given.get("uuid", "").replace(":", "").replace("-", "") == bare:
            return True
        if name and given.get("name", "").rpartition(":")[2] == name.casefold() and "uuid" not in given:
            return True
    return False


def _statements(text: str) -> list[list[str]]:
    """The words of each statement; a line that begins with a blank goes on with the one before."""
    found: list[list[str]] = []
    for line in lines(text):
        words = line.partition("#")[0].split()
        if not words:
            continue
        if line[0] in " \t" and found:
            found[-1] += words
        else:
            found.append(words)
    return found
