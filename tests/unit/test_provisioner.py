"""Who provisions: the answer, and the witnesses it names."""

from __future__ import annotations

import pytest

from vhdprep.guest import provisioner
from vhdprep.ruleset.selftest import build_image

CLOUD = {
    "/usr/bin/cloud-init": "x",
    "/lib/systemd/system/cloud-init-local.service": "[Install]\nWantedBy=multi-user.target\n",
    "/lib/systemd/system/cloud-init.service": "[Install]\nWantedBy=multi-user.target\n",
    "/etc/systemd/system/multi-user.target.wants/cloud-init-local.service": {"link": "x"},
    "/etc/systemd/system/multi-user.target.wants/cloud-init.service": {"link": "x"},
}
AGENT = {
    "/usr/sbin/waagent": "x",
    "/lib/systemd/system/walinuxagent.service": "[Install]\nWantedBy=multi-user.target\n",
    "/etc/systemd/system/multi-user.target.wants/walinuxagent.service": {"link": "x"},
    "/etc/waagent.conf": "Provisioning.Agent=auto\n",
}
GRUB = {
    "/boot/grub/grub.cfg": "menuentry 'Linux' {\n linux /boot/vmlinuz root=/dev/sda1 {}\n}\n",
    "/boot/vmlinuz": "x",
}


def answer(files, arguments="", **given):
    grub = {path: text.replace("{}", arguments, 1) if path.endswith(".cfg") else text for path, text in GRUB.items()}
    found = provisioner.find(build_image({"files": {**grub, **files}, **given}).guest)
    return found.who, [(each.value, each.where) for each in found.because]


def without(files, *paths):
    return {path: value for path, value in files.items() if path not in paths}


def agent_says(value):
    return {**AGENT, "/etc/waagent.conf": f"Provisioning.Agent={value}  # said the admin\n"}


@pytest.mark.parametrize(
    ("files", "arguments", "who"),
    [
        pytest.param({**CLOUD, **AGENT}, "", "cloud-init", id="both, and the agent waits"),
        pytest.param(CLOUD, "", "cloud-init", id="cloud-init alone"),
        pytest.param(AGENT, "", "waagent", id="the agent alone"),
        pytest.param(without(AGENT, "/etc/waagent.conf"), "", "waagent", id="the agent by default"),
        pytest.param({}, "", "nobody", id="nothing installed"),
        pytest.param({**CLOUD, **agent_says("waagent")}, "", "contradiction", id="both want to"),
        pytest.param({**CLOUD, **agent_says("disabled")}, "", "cloud-init", id="the agent was told to leave it"),
        pytest.param(agent_says("disabled"), "", "nobody", id="the agent alone was told to leave it"),
        pytest.param(agent_says("cloud-init"), "", "contradiction", id="the agent waits for what is not installed"),
        pytest.param({**CLOUD, **AGENT, "/etc/cloud/cloud-init.disabled": ""}, "", "contradiction", id="the agent waits for what is switched off by a marker"),
        pytest.param({**CLOUD, **agent_says("waagent"), "/etc/cloud/cloud-init.disabled": ""}, "", "waagent", id="the marker hands it to the agent"),
        pytest.param({**CLOUD, "/etc/cloud/cloud-init.disabled": ""}, "", "nobody", id="the marker alone"),
        pytest.param({**CLOUD, "/etc/cloud/ds-identify.cfg": "policy: disabled\n"}, "", "nobody", id="ds-identify's policy"),
        pytest.param(CLOUD, "cloud-init=disabled", "nobody", id="the command line"),
        pytest.param(CLOUD, "ci.di.policy=disabled", "nobody", id="the policy on the command line"),
        pytest.param({**CLOUD, "/etc/cloud/cloud.cfg.d/99.cfg": "datasource_list: [NoCloud, None]\n"}, "", "nobody", id="other data sources"),
        pytest.param({**CLOUD, "/etc/cloud/cloud.cfg.d/99.cfg": "datasource_list: [azure]\n"}, "", "cloud-init", id="Azure in any case"),
        pytest.param({**CLOUD, "/etc/systemd/system/cloud-init.service": {"link": "/dev/null"}}, "", "nobody", id="the second stage is masked"),
        pytest.param({**CLOUD, **AGENT, "/etc/systemd/system/walinuxagent.service": {"link": "/dev/null"}}, "", "cloud-init", id="the agent is masked"),
        pytest.param({"/usr/lib/systemd/system/azure-init.service": "[Install]\nWantedBy=multi-user.target\n",
                      "/etc/systemd/system/multi-user.target.wants/azure-init.service": {"link": "x"}}, "", "azure-init", id="azure-init"),
    ],
)  # fmt: skip
def test_the_answer_follows_from_what_starts_and_what_is_configured(files, arguments, who):
    assert answer(files, arguments)[0] == who


def test_bad_news_names_both_witnesses():
    assert answer(without({**CLOUD, **AGENT}, "/etc/systemd/system/multi-user.target.wants/cloud-init.service")) == (
        "contradiction",
        [
            ("a stage of cloud-init is disabled", "/lib/systemd/system/cloud-init.service"),
            ("the agent leaves it to cloud-init (Provisioning.Agent=auto)", "/etc/waagent.conf:1"),
        ],
    )


def test_the_stages_since_24_3_are_known_by_their_names():
    newer = {
        path.replace("cloud-init.service", name): value
        for path, value in CLOUD.items()
        for name in ("cloud-init-main.service", "cloud-init-network.service")
    }
    assert answer(newer)[0] == "cloud-init"
    assert answer(without(newer, "/etc/systemd/system/multi-user.target.wants/cloud-init-main.service"))[0] == "nobody"


def test_flatcars_agent_is_pulled_in_by_a_drop_in_and_comes_with_an_extension():
    pulled = {"/usr/lib/systemd/system/multi-user.target.d/10-waagent-sysext.conf": "[Unit]\nUpholds=waagent.service\n"}
    assert answer(pulled, facts={"distro": "flatcar", "family": "flatcar"})[0] == "waagent"
    assert answer({"/oem/sysext/oem-azure-4230.2.3.raw": "x"}, facts={"distro": "flatcar", "family": "flatcar"})[0] == "waagent"
    assert answer({}, facts={"distro": "flatcar", "family": "flatcar"})[0] == "nobody"
    assert answer(pulled)[0] == "nobody"


def test_what_cannot_be_read_leaves_the_answer_open():
    who, because = answer(CLOUD, unreadable=["/etc/cloud"])
    assert who is None
    assert because == [("/etc/cloud: cannot be read (as this example says)", "provisioner")]
