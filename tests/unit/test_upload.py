"""What to do next with a ready image: its parameters, and the commands in four languages."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from tests.uploads import GIB, HOSTILE, disk, every_kind, ready
from vhdprep.model import DiskType, Outcome, Target, Verdict
from vhdprep.report import load_reporter, upload, words

SCHEMA = json.loads((Path(words.__file__).parent / "schema.json").read_text(encoding="utf-8"))
KINDS = every_kind()
GENERALIZED, SPECIALIZED, MARKETPLACE, COMMUNITY = Target.GENERALIZED, Target.SPECIALIZED, Target.MARKETPLACE, Target.COMMUNITY_GALLERY
UPLOAD_OF_THE_OS_DISK = [
    "az disk create -g GROUP -n web --upload-type Upload --upload-size-bytes 32212255232 --os-type {os} --hyper-v-generation V{generation} --architecture {arch}",
    "SAS=$(az disk grant-access -g GROUP -n web --access-level Write --duration-in-seconds 86400 --query 'accessSas || accessSAS' -o tsv)",
    'azcopy copy web.vhd "$SAS" --blob-type PageBlob',
    "az disk revoke-access -g GROUP -n web",
]
UPLOAD_OF_A_DATA_DISK = [
    "az disk create -g GROUP -n {name} --upload-type Upload --upload-size-bytes {size}",
    "SAS=$(az disk grant-access -g GROUP -n {name} --access-level Write --duration-in-seconds 86400 --query 'accessSas || accessSAS' -o tsv)",
    'azcopy copy {name}.vhd "$SAS" --blob-type PageBlob',
    "az disk revoke-access -g GROUP -n {name}",
]
IDS = [
    f"{variable}=$(az disk show -g GROUP -n {name} --query id -o tsv)"
    for variable, name in (("OS_DISK", "web"), ("DATA_DISK_0", "d0"), ("DATA_DISK_1", "d1"))
]
DEFINITION = "az sig image-definition create -g GROUP -r GALLERY -i web --publisher PUBLISHER --offer OFFER --sku SKU --os-type {} --os-state {} --hyper-v-generation V2 --architecture {} --features {}"
VERSION = 'az sig image-version create -g GROUP -r GALLERY -i web -e 1.0.0 --os-snapshot "$OS_DISK"'
OF_IMAGE = [
    'az image create -g GROUP -n web --os-type {} --hyper-v-generation V2 --source "$OS_DISK"{}',
    "IMAGE=$(az image show -g GROUP -n web --query id -o tsv)",
    'az sig image-version create -g GROUP -r GALLERY -i web -e 1.0.0 --managed-image "$IMAGE"',
]
DATA = ' --data-snapshots "$DATA_DISK_0" "$DATA_DISK_1" --data-snapshot-luns 0 1'
ALL = "'SecurityType=TrustedLaunchSupported DiskControllerTypes=SCSI,NVMe IsAcceleratedNetworkSupported=True'"
PLAIN = ALL.replace("TrustedLaunchSupported", "Standard")


def of_os_disk(os="Linux", generation=2, arch="x64"):
    return [line.format(os=os, generation=generation, arch=arch) for line in UPLOAD_OF_THE_OS_DISK]


def of_image(os="Linux", data=""):
    return [line.format(os, data) for line in OF_IMAGE]


def of_data_disk(name, size):
    return [line.format(name=name, size=size) for line in UPLOAD_OF_A_DATA_DISK]


def commands(report):
    return upload.document(upload.plan(report))["commands"]


WHOLE = {
    "Gen2 Linux into a gallery that knows Trusted Launch": (
        ready(),
        [*of_os_disk(), IDS[0], DEFINITION.format("Linux", "Generalized", "x64", ALL), *of_image()],
    ),
    "Gen2 Windows with two data disks": (
        ready("windows", data=2),
        [*of_os_disk("Windows"), *of_data_disk("d0", GIB + 512), *of_data_disk("d1", 2 * GIB + 512), *IDS,
         DEFINITION.format("Windows", "Generalized", "x64", "'SecurityType=TrustedLaunchSupported DiskControllerTypes=SCSI,NVMe'"),
         *of_image("Windows", ' --data-disk-sources "$DATA_DISK_0" "$DATA_DISK_1"')],
    ),
    "Gen1 Linux into a managed image": (
        ready(generation=1),
        [*of_os_disk(generation=1), IDS[0], 'az image create -g GROUP -n web --os-type Linux --hyper-v-generation V1 --source "$OS_DISK"'],
    ),
    "Gen1 Windows with two data disks into a managed image": (
        ready("windows", 1, data=2),
        [*of_os_disk("Windows", 1), *of_data_disk("d0", GIB + 512), *of_data_disk("d1", 2 * GIB + 512), *IDS,
         'az image create -g GROUP -n web --os-type Windows --hyper-v-generation V1 --source "$OS_DISK" --data-disk-sources "$DATA_DISK_0" "$DATA_DISK_1"'],
    ),
    "Arm64 is of the security type Standard, which has to be said": (
        ready(arch="aarch64"),
        [*of_os_disk(arch="Arm64"), IDS[0],
         DEFINITION.format("Linux", "Generalized", "Arm64", "'SecurityType=Standard DiskControllerTypes=SCSI,NVMe IsAcceleratedNetworkSupported=True'"), VERSION],
    ),
    "a specialized one, which no managed image may be": (
        ready(target=SPECIALIZED, data=2),
        [*of_os_disk(), *of_data_disk("d0", GIB + 512), *of_data_disk("d1", 2 * GIB + 512), *IDS,
         DEFINITION.format("Linux", "Specialized", "x64", PLAIN), VERSION + DATA],
    ),
    "for the marketplace even Gen1 goes into a gallery": (
        ready(generation=1, target=MARKETPLACE),
        [*of_os_disk(generation=1), IDS[0],
         DEFINITION.format("Linux", "Generalized", "x64", "IsAcceleratedNetworkSupported=True").replace("V2", "V1"), VERSION],
    ),
    "a community's gallery is made as one, and opened at the end": (
        ready(target=COMMUNITY),
        [*of_os_disk(), IDS[0],
         "az sig create -g GROUP -r GALLERY --permissions Community --publisher-uri PUBLISHER-URI --publisher-email PUBLISHER-EMAIL --eula EULA-URI --public-name-prefix PREFIX",
         DEFINITION.format("Linux", "Generalized", "x64", ALL), *of_image(), "az sig share enable-community -g GROUP -r GALLERY"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_the_lines_of_the_azure_cli(name):
    report, expected = WHOLE[name]
    assert commands(report) == expected


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_image_has_every_way_and_its_block_follows_the_schema(name):
    report = KINDS[name]
    block = upload.document(upload.plan(report))
    jsonschema.validate(block, SCHEMA["properties"]["upload"])
    machine = {"azure-cli-machine"} if report.target is SPECIALIZED else set()
    assert set(block["ways"]) == {"azure-cli", "powershell", "bicep", "terraform"} | machine
    assert block["commands"] == block["ways"]["azure-cli"]
    assert [each["size_bytes"] for each in block["disks"]] == [each.container.file_size for each in report.disks]
    assert block["os_state"] == ("Specialized" if report.target is SPECIALIZED else "Generalized")
    for each in block["disks"]:
        assert all(str(each["size_bytes"]) in "".join(block["ways"][way]) for way in ("azure-cli", "bicep", "terraform"))


@pytest.mark.parametrize("name", KINDS)
def test_only_the_disk_with_the_system_says_which_system(name):
    made = [line for line in commands(KINDS[name]) if line.startswith("az disk create")]
    assert ["--os-type" in line and "--hyper-v-generation" in line for line in made] == [True, *(False for _ in made[1:])]


@pytest.mark.parametrize("name", KINDS)
def test_what_may_not_be_a_managed_image_is_none(name):
    planned = upload.plan(KINDS[name])
    if planned.destination == "managed-image":
        assert (planned.os_state, planned.community, planned.architecture, planned.security_type, planned.features) == (
            "Generalized",
            False,
            "x64",
            "Standard",
            {},
        )


def test_a_specialized_one_may_also_become_one_machine():
    ways = upload.ways(upload.plan(ready(target=SPECIALIZED, data=2)))
    assert ways["azure-cli-machine"] == ["az vm create -g GROUP -n VM --size SIZE --os-type Linux --attach-os-disk web --attach-data-disks d0 d1"]


def test_luns_that_do_not_count_from_0_are_attached_one_by_one():
    ways = upload.ways(upload.plan(ready(target=SPECIALIZED, data=2, luns=(0, 2))))
    assert ways["azure-cli-machine"] == [
        "az vm create -g GROUP -n VM --size SIZE --os-type Linux --attach-os-disk web",
        "az vm disk attach -g GROUP --vm-name VM --name d0 --lun 0",
        "az vm disk attach -g GROUP --vm-name VM --name d1 --lun 2",
    ]


def test_luns_that_do_not_count_from_0_need_a_gallery():
    assert upload.plan(ready(generation=1, data=2, luns=(0, 2), kind="managed-image")).destination == "gallery"


def test_nothing_is_uploaded_where_two_disks_have_one_lun():
    assert upload.plan(ready(data=2, luns=(1, 1))) is None


def test_a_disk_without_a_lun_takes_the_lowest_that_is_free():
    planned = upload.plan(ready(data=4, luns=(1, None, 0, None)))
    assert [each.lun for each in planned.disks] == [None, 1, 2, 0, 3]


@pytest.mark.parametrize(
    ("rule", "outcome", "expected"),
    [
        ("linux-nvme-early", Outcome.FAIL, ("TrustedLaunchSupported", ("SCSI",), True)),
        ("linux-nvme-early", Outcome.WAIVED, ("TrustedLaunchSupported", ("SCSI",), True)),
        ("linux-nvme-release-listed", Outcome.UNKNOWN, ("TrustedLaunchSupported", ("SCSI",), True)),
        ("linux-pci-hyperv-present", Outcome.FAIL, ("TrustedLaunchSupported", ("SCSI",), False)),
        ("linux-accelerated-network-drivers-present", Outcome.FAIL, ("TrustedLaunchSupported", ("SCSI", "NVMe"), False)),
        ("linux-accelerated-network-drivers-present", Outcome.UNKNOWN, ("TrustedLaunchSupported", ("SCSI", "NVMe"), None)),
        ("linux-boot-kernel-signed", Outcome.FAIL, ("Standard", ("SCSI", "NVMe"), True)),
        ("linux-boot-efi-loaders-signed", Outcome.UNKNOWN, ("Standard", ("SCSI", "NVMe"), True)),
    ],
)
def test_an_image_is_tagged_only_with_what_its_rules_have_shown(rule, outcome, expected):
    planned = upload.plan(ready(outcomes={rule: outcome}))
    assert (planned.security_type, planned.disk_controllers, planned.accelerated_networking) == expected


def test_rules_that_were_left_out_have_shown_nothing():
    report = ready()
    planned = upload.plan(report._replace(findings=()))
    assert (planned.security_type, planned.disk_controllers, planned.accelerated_networking) == ("Standard", ("SCSI",), None)


@pytest.mark.parametrize(("system", "generation"), [("linux", 1), ("windows", 1), ("freebsd", 2)])
def test_neither_generation_1_nor_a_system_without_rules_is_trusted_or_has_nvme(system, generation):
    planned = upload.plan(ready(system, generation))
    assert (planned.os_type, planned.security_type, planned.disk_controllers) == (
        "Windows" if system == "windows" else "Linux",
        "Standard",
        ("SCSI",),
    )


def test_what_is_declared_wins():
    planned = upload.plan(
        ready(arch="aarch64", generation=1, security_type="confidentialvm", disk_controllers=("NVMe", "SCSI"), accelerated_networking=False, hibernation=True, version="7.0.1",
              architecture="x64", kind="gallery", group="g", gallery="s", image="i", publisher="p", offer="o", sku="k", location="l", replication="shallow")
    )  # fmt: skip
    assert (planned.security_type, planned.disk_controllers, planned.accelerated_networking, planned.hibernation) == (
        "ConfidentialVM",
        ("NVMe", "SCSI"),
        False,
        True,
    )
    assert (planned.version, planned.image, planned.shallow, planned.names) == ("7.0.1", "i", True, upload.Names("g", "s", "p", "o", "k", "l"))
    assert upload.fill_in(planned) == []


def test_a_generation_and_an_architecture_that_are_declared_win():
    planned = upload.plan(ready(generation=2, manifest={"generation": 1, "architecture": "x64"}))
    assert (planned.generation, planned.architecture, planned.destination, planned.security_type) == (1, "x64", "managed-image", "Standard")


def test_a_windows_before_10_is_not_trusted():
    assert upload.plan(ready("windows", build="6.3.9600")).security_type == "Standard"


def test_only_nvme_is_said_when_only_nvme_is_declared():
    assert upload.plan(ready(disk_controllers=("NVMe",))).features["DiskControllerTypes"] == "NVMe"


@pytest.mark.parametrize(
    ("gib", "manifest", "shallow"),
    [(1024, {}, False), (1025, {}, True), (1025, {"replication": "full"}, False), (1, {"replication": "shallow"}, True)],
)
def test_a_data_disk_too_large_to_be_copied_is_not_copied_unless_that_is_declared(gib, manifest, shallow):
    report = ready(manifest=manifest)
    planned = upload.plan(report._replace(disks=(report.disks[0], disk("data", "large.vhd", gib))))
    assert planned.shallow is shallow


def test_a_community_gets_only_what_says_supported():
    assert upload.plan(ready(target=COMMUNITY, security_type="TrustedLaunch")).security_type == "TrustedLaunchSupported"
    assert upload.plan(ready(target=COMMUNITY, security_type="ConfidentialVM")).security_type == "ConfidentialVmSupported"


def test_a_managed_image_that_is_declared_has_no_features():
    planned = upload.plan(ready(kind="managed-image"))
    assert (planned.destination, planned.features) == ("managed-image", {})


def test_a_generation_that_nobody_knows_is_to_be_filled_in():
    planned = upload.plan(ready(generation=None))
    assert upload.fill_in(planned) == ["GROUP", "GALLERY", "PUBLISHER", "OFFER", "SKU", "LOCATION", "V1-OR-V2"]
    assert "--hyper-v-generation V1-OR-V2" in upload.ways(planned)["azure-cli"][0]


@pytest.mark.parametrize("verdict", [Verdict.NOT_READY, Verdict.INCONCLUSIVE, None])
def test_what_is_not_ready_is_not_uploaded(verdict):
    assert upload.plan(ready()._replace(verdict=verdict)) is None


@pytest.mark.parametrize(
    "changed", [{"type": DiskType.DYNAMIC}, {"type": DiskType.DIFFERENCING}, {"format": "vhdx"}, {"format": "raw", "type": None}]
)
@pytest.mark.parametrize("which", [0, 1])
def test_nothing_is_uploaded_where_one_disk_is_no_fixed_vhd(changed, which):
    report = ready(data=1)
    disks = list(report.disks)
    disks[which] = disks[which]._replace(container=disks[which].container._replace(**changed))
    assert upload.plan(report._replace(disks=tuple(disks))) is None


def test_nothing_is_uploaded_where_rules_were_left_out_and_every_page_says_so():
    report = ready()._replace(left_out=1)
    assert upload.plan(report) is None
    for name in ("text", "markdown", "html"):
        page = load_reporter(name).render(report)
        assert "How to upload it is told when no rule is left out." in page
        assert "may be uploaded" not in page


@pytest.mark.parametrize(
    "kind",
    [
        {"target": SPECIALIZED, "security_type": "TrustedLaunchSupported"},
        {"data": 2, "luns": (0, 2), "security_type": "confidentialvmsupported"},
        {"arch": "aarch64", "security_type": "TrustedLaunchSupported"},
    ],
)
def test_nothing_is_uploaded_that_azure_would_not_make_of_disks_and_every_page_says_so(kind):
    report = ready(**kind)
    assert upload.plan(report) is None
    for name in ("text", "markdown", "html"):
        assert "of such disks Azure makes no image of the declared security type" in " ".join(load_reporter(name).render(report).split())


@pytest.mark.parametrize("name", KINDS)
def test_of_disks_nothing_is_made_that_is_called_supported(name):
    planned = upload.plan(KINDS[name])
    lines = "\n".join(commands(KINDS[name]))
    assert (
        ("Supported " in lines.replace("'", " ").replace("IsAcceleratedNetworkSupported", "")) is planned.from_image is ("--managed-image" in lines)
    )


@pytest.mark.parametrize("roles", [(), ("data",), ("os", "os")])
def test_nothing_is_uploaded_without_exactly_one_system(roles):
    assert upload.plan(ready()._replace(disks=tuple(disk(role, "x.vhd", 1) for role in roles))) is None


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/images/Web Server_1.2.vhd", "Web-Server-1-2"),
        ("C:\\images\\web.VHD", "web"),
        ("web.vhd.vhd", "web"),
        ("-_..vhd", "disk"),
        ("\u00fcber.vhd", "ber"),
        ("x" * 100 + ".vhd", "x" * 80),
        ("x" * 79 + "-y.vhd", "x" * 79),
        ("$(x)\n.vhd", "x"),
    ],
)
def test_a_disk_is_named_after_its_file(path, name):
    assert upload.plan(ready(path=path)).os_disk.name == name


def test_disks_of_one_file_name_differ_in_their_own():
    report = ready()
    same = tuple(
        disk(role, f"/{number}/{path}", 1)
        for number, (role, path) in enumerate((("os", "Web.vhd"), ("data", "web.vhd"), ("data", "x" * 90), ("data", "x" * 91)))
    )
    assert [each.name for each in upload.plan(report._replace(disks=same)).disks] == ["Web", "web-2", "x" * 80, "x" * 78 + "-2"]


@pytest.mark.parametrize("name", ["text", "markdown", "html"])
@pytest.mark.parametrize("path", HOSTILE)
def test_every_line_is_shown_as_it_is(name, path):
    report = ready(path=path, data=1)
    page = load_reporter(name).render(report, verbose=True, width=100)
    if name == "html":
        from html import unescape

        page = unescape(page)
    for written in upload.ways(upload.plan(report)).values():
        for line in written.splitlines() if isinstance(written, str) else written:
            assert line in page


def test_the_text_shows_the_other_ways_only_when_everything_is_asked_for():
    short, long = (load_reporter("text").render(ready(), verbose=verbose) for verbose in (False, True))
    assert ("New-AzGalleryImageVersion" in short, "New-AzGalleryImageVersion" in long) == (False, True)
    assert (
        "To upload it as Linux, Generalized, Generation 2, x64, 32212255232 bytes\n(security type TrustedLaunchSupported, disk controllers SCSI and NVMe,\naccelerated networking):\n"
    ) in short
    assert "Fill in GROUP, GALLERY, PUBLISHER, OFFER, SKU. PowerShell, Bicep and Terraform:\n--verbose.\n" in short


WRITTEN = {
    "gen2-image.bicep": ("bicep", {"data": 2, "replication": "shallow"}),
    "gen2-image.tf": ("terraform", {"data": 2, "replication": "shallow"}),
    "gen2-image.ps1": ("powershell", {"data": 2, "replication": "shallow"}),
    "gen2-data.bicep": ("bicep", {"data": 2, "luns": (1, None), "replication": "shallow"}),
    "gen1-data.bicep": ("bicep", {"generation": 1, "data": 1}),
    "community.bicep": ("bicep", {"target": COMMUNITY, "location": "westeurope"}),
    "gen2-data.tf": ("terraform", {"data": 2, "luns": (1, None), "replication": "shallow"}),
    "gen1-data.tf": ("terraform", {"os": "windows", "generation": 1, "data": 1}),
    "community.tf": ("terraform", {"target": COMMUNITY}),
    "gen2-data.ps1": ("powershell", {"data": 2, "luns": (1, None), "replication": "shallow"}),
    "gen1-data.ps1": ("powershell", {"os": "windows", "generation": 1, "data": 1}),
    "arm64-specialized.ps1": ("powershell", {"arch": "aarch64", "target": SPECIALIZED}),
    "community.ps1": ("powershell", {"target": COMMUNITY, "hibernation": True}),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_the_whole_of_what_is_written(name):
    way, kind = WRITTEN[name]
    written = upload.ways(upload.plan(ready(**kind)))[way]
    expected = Path(__file__).parent.joinpath("uploads", name).read_text(encoding="utf-8")
    assert (written if isinstance(written, str) else "\n".join(written) + "\n") == expected
