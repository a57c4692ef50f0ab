"""What the tree promises: sizes, silence of the core, nothing of one platform in the reading path."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MODULES = sorted((ROOT / "vhdprep").rglob("*.py"))
POSIX_ONLY_MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "select", "termios", "tty", "syslog"}
POSIX_ONLY_CALLS = {"fork", "geteuid", "getuid", "mkfifo", "pread", "preadv", "sysconf", "sendfile", "posix_fadvise", "uname", "SEEK_DATA", "SEEK_HOLE",
                    "SIGALRM", "setitimer", "alarm"}  # fmt: skip
WRITERS = {("fleet", "results.py"), ("fleet", "cells.py"), ("fleet", "cell.py"), ("machine", "overlay.py")}
"""They keep reports, start processes, and answer through a pipe."""


def parsed(path):
    return ast.walk(ast.parse(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_longer_than_300_lines(path):
    assert path.read_text(encoding="utf-8").count("\n") <= 300


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if path.name != "isolate.py" and not {"prepare", "guestfs", "rehearse"} & set(path.parts)],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_nothing_is_posix_only(path):
    """Reading works unchanged on Linux, macOS and Windows.

    ``isolate`` does more where there is fork, ``prepare`` needs locks and links, and ``rehearse`` is of Linux alone.
    """
    for node in parsed(path):
        if isinstance(node, ast.Import):
            assert not {name.name.split(".")[0] for name in node.names} & POSIX_ONLY_MODULES
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in POSIX_ONLY_MODULES
        if isinstance(node, ast.Attribute) and getattr(node.value, "attr", "") != "handle":  # libguestfs's handle has calls of the same names
            assert node.attr not in POSIX_ONLY_CALLS


@pytest.mark.parametrize(
    "path",
    [path for path in MODULES if not {"cli", "prepare"} & set(path.parts) and path.parts[-2:] not in WRITERS],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_core_never_prints_nor_opens_for_writing(path):
    for node in parsed(path):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert name not in ("print", "write_text", "write_bytes", "unlink", "rename", "replace_file", "mkdir", "system", "Popen")
            if name == "open":
                assert all(not isinstance(each, ast.Constant) or each.value in ("rb", 0) or "w" not in str(each.value) for each in node.args)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_except_names_what_it_catches(path):
    for node in parsed(path):
        if isinstance(node, ast.ExceptHandler):
            broad = node.type is None or (isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException"))
            assert not broad or path.name in ("evaluate.py", "isolate.py", "partial.py", "foreign.py", "cell.py", "store.py")


def test_types_are_published():
    assert (ROOT / "vhdprep" / "py.typed").exists()
