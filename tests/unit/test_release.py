"""Naming a distribution: by the real release files of 60 of them, and by what stood there before os-release."""

from __future__ import annotations

import tarfile

import pytest

from tests.unit.memory import guest
from vhdprep.disk.directory import DirectoryFiles
from vhdprep.guest import release
from vhdprep.guest.files import GuestFiles

REAL = {
    "almalinux10": ("almalinux", "rhel", "10.0"),
    "alpine": ("alpine", "alpine", "3.23.2"),
    "altlinux10": ("altlinux", "altlinux", "10.1"),
    "amazon2014": ("amzn", "rhel", "2014.03"),
    "amazon2016": ("amzn", "rhel", "2016.03"),
    "amazon2023": ("amzn", "rhel", "2023"),
    "arch": ("arch", "arch", None),
    "armbian": ("debian", "debian", "10"),  # its os-release is Debian's own
    "bttcb1": ("debian", "debian", "11"),
    "buildroot": ("buildroot", "buildroot", "2022.02"),
    "centos5": ("centos", "rhel", "5.11"),
    "centos7": ("centos", "rhel", "7"),
    "centosstream8": ("centos", "rhel", "8"),
    "centosstream9": ("centos", "rhel", "9"),
    "centosstream10": ("centos", "rhel", "10"),
    "cloudlinux5": ("cloudlinux", "rhel", "5.11"),
    "cloudlinux6": ("cloudlinux", "rhel", "6.8"),
    "cloudlinux7": ("cloudlinux", "rhel", "7.3"),
    "coreos": ("coreos", "flatcar", "899.15.0"),
    "debian8": ("debian", "debian", "8"),
    "debian10": ("debian", "debian", "10"),
    "debian13": ("debian", "debian", "13"),
    "debiantesting": ("debian", "debian", None),
    "exherbo": ("exherbo", "exherbo", None),
    "fedora19": ("fedora", "rhel", "19"),
    "fedora23": ("fedora", "rhel", "23"),
    "fedora30": ("fedora", "rhel", "30"),
    "fedora42": ("fedora", "rhel", "42"),
    "gentoo": ("gentoo", "gentoo", None),
    "guix": ("guix", "guix", None),
    "kali": ("kali", "debian", "2017.1"),
    "kvmibm1": ("kvmibm", "rhel", "1.1.1"),
    "linuxmint17": ("ubuntu", "debian", "14.04"),  # as its os-release says; only lsb-release says Mint
    "mageia5": ("mageia", "rhel", "5"),
    "mandriva2011": ("mandriva", "mandriva", "2011.0"),
    "manjaro1512": ("manjaro", "arch", None),
    "openelec6": ("openelec", "openelec", "6.0"),
    "opensuse15": ("opensuse-leap", "suse", "15.2"),
    "opensuse42": ("opensuse", "suse", "42.1"),
    "oracle7": ("ol", "rhel", "7.5"),
    "raspbian7": ("raspbian", "debian", "7"),
    "raspbian8": ("raspbian", "debian", "8"),
    "rhel5": ("rhel", "rhel", "5.11"),
    "rhel6": ("rhel", "rhel", "6.5"),
    "rhel7": ("rhel", "rhel", "7.0"),
    "rhel9": ("rhel", "rhel", "9.6"),
    "rhel10": ("rhel", "rhel", "10.0"),
    "rocky": ("rocky", "rhel", "8.4"),
    "rocky9": ("rocky", "rhel", "9.3"),
    "rocky10": ("rocky", "rhel", "10.0"),
    "scientific6": ("scientific", "rhel", "6.4"),
    "scientific7": ("rhel", "rhel", "7.2"),  # as its os-release says
    "slackware14": ("slackware", "slackware", "14.1"),
    "sles12": ("sles", "suse", "12.1"),
    "ubuntu14": ("ubuntu", "debian", "14.04"),
    "ubuntu16": ("ubuntu", "debian", "16.04"),
    "ubuntu24": ("ubuntu", "debian", "24.04"),
    "ubuntu2504": ("ubuntu", "debian", "25.04"),
    "ubuntu2510": ("ubuntu", "debian", "25.10"),
    "ubuntu2604": ("ubuntu", "debian", "26.04"),
}
WITHOUT_FILES = {"__shared__", "aix72", "freebsd111", "midnightbsd12", "netbsd711", "openbsd62"}
"""Only scripts for uname: nothing of Linux to be read."""


@pytest.fixture(scope="module")
def real_trees(data, tmp_path_factory):
    place = tmp_path_factory.mktemp("distributions")
    with tarfile.open(data("linux/distro-resources.tar")) as archive:
        archive.extractall(place, **({"filter": "data"} if hasattr(tarfile, "data_filter") else {}))  # since Python 3.11.4
    return place / "tests" / "resources" / "distros"


def test_the_real_release_files_of_sixty_distributions_name_them(real_trees):
    names = {path.name for path in real_trees.iterdir()}
    found = {name: release.read(GuestFiles(DirectoryFiles(real_trees / name))) for name in names}
    assert {name: each[:3] for name, each in found.items() if name not in WITHOUT_FILES} == REAL
    assert {found[name].distro for name in WITHOUT_FILES} == {"unknown"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (
            {"oracle-release": "Oracle Linux Server release 6.10\n", "redhat-release": "Red Hat Enterprise Linux Server release 6.10 (Santiago)\n"},
            ("ol", "rhel", "6.10", "Oracle Linux Server release 6.10"),
        ),
        ({"centos-release": "CentOS release 6.10 (Final)\n"}, ("centos", "rhel", "6.10", "CentOS release 6.10 (Final)")),
        (
            {"SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 4\n"},
            ("sles", "suse", "11.4", "SUSE Linux Enterprise Server 11 (x86_64)"),
        ),
        (
            {"SuSE-release": "SUSE Linux Enterprise Server 11 (x86_64)\nVERSION = 11\nPATCHLEVEL = 0\n"},
            ("sles", "suse", "11", "SUSE Linux Enterprise Server 11 (x86_64)"),
        ),
        ({"SuSE-release": "openSUSE 13.1 (x86_64)\nVERSION = 13.1\n"}, ("opensuse", "suse", "13.1", "openSUSE 13.1 (x86_64)")),
        (
            {"lsb-release": "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=10.04\nDISTRIB_DESCRIPTION='Ubuntu 10.04 LTS'\n", "debian_version": "squeeze/sid\n"},
            ("ubuntu", "debian", "10.04", "Ubuntu 10.04 LTS"),
        ),
        ({"debian_version": "6.0.10\n"}, ("debian", "debian", "6.0.10", "Debian 6.0.10")),
        ({"debian_version": "trixie/sid\n"}, ("debian", "debian", None, "Debian trixie/sid")),
        ({"redhat-release": "Acme Linux release 3\n"}, ("unknown", "unknown", None, "Acme Linux release 3")),
        ({"os-release": "NAME=Acme\n", "redhat-release": "CentOS release 6.10 (Final)\n"}, ("centos", "rhel", "6.10", "Acme")),
        ({"os-release": "ID=acme\nID_LIKE='odd fedora'\nVERSION_ID=3\n"}, ("acme", "rhel", "3", "Linux of an unknown distribution")),
        ({"os-release": "ID=mariner\nVERSION_ID='2.0'\nPRETTY_NAME='CBL-Mariner/Linux'\n"}, ("mariner", "azurelinux", "2.0", "CBL-Mariner/Linux")),
        ({"os-release": "", "lsb-release": "DISTRIB_ID=\n"}, ("unknown", "unknown", None, "Linux of an unknown distribution")),
    ],
)
def test_older_release_files_are_read_in_their_order(files, expected):
    tree = guest({f"/etc/{name}": text for name, text in files.items()}).files
    assert release.read(tree) == expected
