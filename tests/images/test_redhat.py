"""Red Hat's own configuration of its images for Azure, laid into guests in memory: a rule that fails it would be wrong."""

from __future__ import annotations

import re

import pytest

from fixtures.content import render
from fixtures.tree import tree
from vhdprep.disk.memory import MemoryFiles
from vhdprep.guest.assemble import assemble_tree
from vhdprep.guest.image import Image
from vhdprep.model import Outcome, Severity, Target
from vhdprep.ruleset.evaluate import evaluate

PLACES = {
    "grub": "/etc/default/grub",
    "waagent.conf": "/etc/waagent.conf",
    "cloud.cfg": "/etc/cloud/cloud.cfg",
    "91-azure_datasource.cfg": "/etc/cloud/cloud.cfg.d/91-azure_datasource.cfg",
    "05_logging.cfg": "/etc/cloud/cloud.cfg.d/05_logging.cfg",
    "06_logging_override.cfg": "/etc/cloud/cloud.cfg.d/06_logging_override.cfg",
    "chrony.conf": "/etc/chrony.conf",
    "authconfig": "/etc/sysconfig/authconfig",
    "pwquality.conf": "/etc/security/pwquality.conf",
    "nss.config": "/etc/crypto-policies/back-ends/nss.config",
    **{f"{name}-auth": f"/etc/pam.d/{name}-auth" for name in ("password", "system", "fingerprint", "smartcard")},
    "postlogin": "/etc/pam.d/postlogin",
    **{
        name: f"/usr/lib/udev/rules.d/{name}"
        for name in ("66-azure-storage.rules", "68-azure-sriov-nm-unmanaged.rules", "99-azure-product-uuid.rules")
    },
}
NEWEST = {"7": "7", "8": "8", "9": "8"}
"""Version of RHEL → the files that it shares with an older one."""


@pytest.fixture(scope="module")
def laid(data):
    """The guest tree of a RHEL with Red Hat's files in it, and what these are."""
    folder = data("linux/rhel-azure/grub_rhel8").parent

    def lay(version):
        found = {}
        for name, place in PLACES.items():
            path = next((each for wanted in (version, NEWEST[version]) if (each := folder / f"{name}_rhel{wanted}").exists()), folder / name)
            if path.exists():
                found[place] = path.read_text(encoding="utf-8")
        return _with_arguments({**tree(f"rhel-{version}"), **found}, found["/etc/default/grub"]), found

    return lay


def _with_arguments(files, defaults):
    """The tree whose boot entries have the kernel arguments of its /etc/default/grub, as grub2-mkconfig would leave it."""
    arguments = re.search(r'^GRUB_CMDLINE_LINUX="(?:ro )?(.*)"$', defaults, re.MULTILINE)[1]
    changed = {}
    for path, text in files.items():
        if path.startswith("/boot/") and isinstance(text, str):
            text = re.sub(r"(root=\S+ ro) .*?(?= \$tuned_params|\n|$)", lambda match: f"{match[1]} {arguments}", text)
        changed[path] = text
    return changed


def judge(files, rules):
    """The rules that fail, with their severity, and those that were not decided."""
    plain = {path: value if isinstance(value, dict) and value.keys() & {"link", "directory"} else render(value) for path, value in files.items()}
    guest = assemble_tree(MemoryFiles(plain))
    findings = evaluate(rules, Image((), guest, None, Target.GENERALIZED))
    failed = {(each.severity, each.rule_id) for each in findings if each.outcome is Outcome.FAIL}
    unknown = [each.rule_id for each in findings if each.outcome is Outcome.UNKNOWN]
    return failed, unknown


ACCEPTED = {
    "7": {
        "linux-agent-version-supported",
        "linux-clock-from-host",
        "linux-crashkernel-unset",
        "linux-release-supported",
        "linux-ssh-root-login-limited",
        "rhel-interface-name-eth0",
    },
    "8": {"linux-clock-from-host", "linux-crashkernel-unset", "rhel-interface-name-eth0"},
    "9": {"linux-crashkernel-unset", "linux-clock-from-host"},
}
"""Notes on what Red Hat chose; and RHEL 7 is old."""


@pytest.mark.parametrize("version", ACCEPTED)
def test_red_hats_own_files_fail_no_rule_wrongly(version, laid, rules):
    files, real = laid(version)
    assert len(real) >= 14
    failed, unknown = judge(files, rules)
    assert unknown == []
    assert {rule_id for _, rule_id in failed} == ACCEPTED[version]
    assert Severity.ERROR not in {severity for severity, _ in failed}


def test_the_check_would_notice_a_file_that_is_wrong(laid, rules):
    files, _ = laid("9")
    files["/etc/waagent.conf"] = files["/etc/waagent.conf"].replace("Extensions.Enabled=y", "Extensions.Enabled=n")
    assert {rule_id for _, rule_id in judge(files, rules)[0]} == ACCEPTED["9"] | {"linux-agent-extensions-on"}
