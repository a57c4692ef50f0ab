"""waagent.conf as the agent reads it: every packaged one, and lines that nobody would write, against a second reading."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from vhdprep.guest.formats import keyvalue

_SETTING = re.compile(r"(?P<key>[^=\n]*)=(?P<value>[^#\n]*)")


def as_the_agent(text):
    """Key → value by the rules of its ``conf.py``, written another way: lines that begin with # do not count, the last one wins, None is unset."""
    found = {}
    for line in re.split("\n", text):
        setting = None if line[:1] == "#" else _SETTING.match(line)
        if setting:
            value = re.sub(r'^[ "]+|[ "]+$', "", setting["value"])
            found[setting["key"].strip()] = value.strip()
    return {key: value for key, value in found.items() if value != "None"}


def as_we_do(text):
    return {key: setting.value for key, setting in keyvalue.agent(text).items()}


def test_every_packaged_waagent_conf_is_read_as_the_agent_reads_it(data):
    linux = data("linux/WALinuxAgent/config/waagent.conf").parents[2]
    paths = [*linux.rglob("waagent.conf"), *linux.rglob("waagent_*.conf"), *linux.rglob("waagent.conf_*")]
    assert len(paths) >= 27
    for path in paths:
        text = path.read_text(encoding="utf-8")
        assert as_we_do(text) == as_the_agent(text)
        assert len(as_we_do(text)) >= 1


@example("A=y\t\n")
@example('A="y"\t\nB=" "y" "')
@example("A=1\r\nA=None\r\n")
@given(st.text(alphabet='AB=#" \t\r\nyNone', max_size=60))
def test_odd_lines_are_read_as_the_agent_reads_them(text):
    assert as_we_do(text) == as_the_agent(text)
