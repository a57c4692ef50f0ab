"""The commands that a ready image is uploaded with."""

from __future__ import annotations

import pytest

from fixtures import build
from vhdprep.check import check
from vhdprep.report import upload


@pytest.fixture(scope="module")
def ready():
    from vhdprep.ruleset.load import load_rules

    return check(build.build("debian-12-generalized"), load_rules())


def last_commands(report):
    return upload.plan(report).commands[4:]


def test_a_generation_2_image_goes_into_a_gallery_that_knows_trusted_launch(ready):
    definition, version = last_commands(ready)
    assert definition == (
        "az sig image-definition create -g GROUP --gallery-name GALLERY -i IMAGE --publisher PUBLISHER --offer OFFER --sku SKU --os-type Linux "
        "--os-state Generalized --hyper-v-generation V2 --architecture x64 --features SecurityType=TrustedLaunchSupported"
    )
    assert version == "az sig image-version create -g GROUP --gallery-name GALLERY -i IMAGE -e 1.0.0 --os-snapshot DISK"


def test_an_arm_image_goes_into_a_gallery_too(ready):
    definition, _ = last_commands(ready._replace(guest=ready.guest._replace(arch="aarch64")))
    assert definition.endswith("--hyper-v-generation V2 --architecture Arm64")


def test_a_generation_1_image_may_be_a_managed_image(ready):
    assert last_commands(ready._replace(guest=ready.guest._replace(generations=(1,)))) == [
        "az image create -g GROUP -n IMAGE --source DISK --os-type Linux --hyper-v-generation V1"
    ]
