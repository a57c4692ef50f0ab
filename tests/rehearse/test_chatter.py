"""What the guest says at length and what does not matter of it is left out of what a person is told."""

from __future__ import annotations

from tests.rehearse.talk import IDENTITY
from vhdprep.rehearse.journal import Journal
from vhdprep.rehearse.judge import Seen, judge
from vhdprep.rehearse.machine.console import Console
from vhdprep.rehearse.postmortem import Found

KVP = "[Errno 2] No such file or directory: '/var/lib/hyperv/.kvp_pool_1'"


def test_every_line_of_cloud_init_carries_its_name_since_25_and_none_matters_for_that():
    console = Console(Journal())
    art = [f"[  167.0{number:02}] cloud-init[434]: |  . +o.o *        |" for number in range(60)]
    told = [
        "[   99.1] cloud-init[434]: Cloud-init v. 25.1.4 running 'init' at Sun, 29 Nov 2026 22:54:31 +0000.",
        "[   99.2] cloud-init[434]: 2026-11-29 22:54:31,801 - util.py[WARNING]: No instance datasource found!",
        "[   99.3] cloud-init[434]: Unable to render networking.",
    ]
    end = [f"[  190.{number}] the end {number}" for number in range(8)]
    console.feed("\n".join([*told, f"[  100.1] cloud-init[434]: azure.py[WARNING]: {KVP}", *art, *end, ""]).encode())
    assert console.matter() == (*told, *end)


def test_what_cloud_init_cannot_hand_to_hyper_v_is_not_repeated():
    status = ["status: done", "extended_status: degraded done", "WARNING:", *[f"\t- failed posting events to kvp, {KVP}"] * 60, "\t- no space left"]
    seen = Seen(IDENTITY, "done", {}, (), {}, None, 1, 0, "", {"cloud-init": "\n".join(status), "failed": ""}, Found())
    assert [(each.what, each.value) for each in judge(seen).witnesses] == [
        ("over SSH: cloud-init", "status: done\nextended_status: degraded done\nWARNING:\n\t- no space left"),
        ("over SSH: failed", "nothing"),
    ]
