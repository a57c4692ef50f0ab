"""Files below a directory that a setting names."""

from __future__ import annotations

import pytest

from tests.unit.memory import image
from vhdprep.errors import Unreadable
from vhdprep.model import ABSENT
from vhdprep.probes.config import setting_files
from vhdprep.probes.files import link_target

AGENT = {"paths": ("/etc/waagent.conf",), "key": "Lib.Dir", "syntax": "agent", "default": "/var/lib/waagent", "patterns": ("/*",)}


def paths(files, **more):
    return [part.where for part in setting_files(image(files), **{**AGENT, **more}).parts]


def test_without_the_setting_its_default_is_looked_at():
    assert paths({"/var/lib/waagent/provisioned": "x"}) == ["/var/lib/waagent/provisioned"]
    assert paths({"/etc/waagent.conf": "Lib.Dir=\n", "/var/lib/waagent/provisioned": "x"}) == ["/var/lib/waagent/provisioned"]


def test_both_the_directory_that_is_named_and_the_default_are_looked_at():
    files = {"/etc/waagent.conf": "Lib.Dir=/data/wa/\n", "/data/wa/a": "x", "/var/lib/waagent/b": "x"}
    assert paths(files) == ["/data/wa/a", "/var/lib/waagent/b"]


def test_what_is_ignored_lies_below_the_same_directory():
    files = {"/etc/waagent.conf": "Lib.Dir=/data/wa\n", "/data/wa/a": "x", "/data/wa/README": "x", "/var/lib/waagent/README": "x"}
    assert paths(files, ignore=("/README",)) == ["/data/wa/a"]


def test_yaml_and_ini_name_directories_too():
    seen = {
        "/etc/a.cfg": "system_info: {paths: {cloud_dir: /data/cloud}}\n",
        "/etc/b.conf": "[main]\ndir = /data/b\n",
        "/data/cloud/x": "",
        "/data/b/y": "",
    }
    assert paths(seen, paths=("/etc/a.cfg",), key="system_info.paths.cloud_dir", syntax="yaml") == ["/data/cloud/x"]
    assert paths(seen, paths=("/etc/b.conf",), key="main.dir", syntax="ini") == ["/data/b/y"]


@pytest.mark.parametrize("value", ["relative", "$vardir/ssl", "/data/[x", "/data/*"])
def test_a_value_that_cannot_be_followed_is_unreadable(value):
    with pytest.raises(Unreadable, match="no path that can be followed"):
        paths({"/etc/waagent.conf": f"Lib.Dir={value}\n"})


def test_a_link_tells_its_target_and_nothing_else_has_one():
    seen = image({"/etc/resolv.conf": {"link": "../run/systemd/resolve/stub-resolv.conf"}, "/etc/hosts": "x"})
    found = [link_target(seen, path=path).value for path in ("/etc/resolv.conf", "/etc/hosts", "/etc/none")]
    assert found == ["../run/systemd/resolve/stub-resolv.conf", ABSENT, ABSENT]
