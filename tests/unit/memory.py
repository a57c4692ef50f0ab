"""A guest in memory, from ``path: content``."""

from __future__ import annotations

from vhdprep.ruleset.selftest import build_image


def guest(files=None, **given):
    return build_image({"files": files or {}, **given}).need_guest()


def image(files=None, **given):
    return build_image({"files": files or {}, **given})
