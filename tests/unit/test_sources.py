"""Package sources of apt, yum, dnf and zypper."""

from __future__ import annotations

import pytest

from tests.unit.memory import guest
from vhdprep.errors import Unreadable
from vhdprep.guest.sources import sources


def found(files):
    return [(each.words, each.enabled, each.is_local) for each in sources(guest(files))]


@pytest.mark.parametrize(
    ("line", "words", "local"),
    [
        ("deb http://a/debian bookworm main contrib # x", "deb http://a/debian bookworm main contrib", False),
        ("deb-src [arch=amd64 signed-by=/k] http://a x main", "deb-src http://a x main", False),
        ("  deb\t[trusted=yes]file:/srv ./", "deb file:/srv ./", True),
        ("deb cdrom:[Debian GNU/Linux 12.7.0 _Bookworm_]/ bookworm main", "deb cdrom:[Debian GNU/Linux 12.7.0 _Bookworm_]/ bookworm main", True),
        ('deb "http://a b/debian" x main', "deb http://a b/debian x main", False),
    ],
)
def test_lines_of_apt(line, words, local):
    assert found({"/etc/apt/sources.list": f"# deb http://no x main\n{line}\ndeb\nrpm http://a b c\n"}) == [(words, True, local)]


def test_stanzas_of_apt():
    text = (
        "# by the installer\nTypes: deb\nURIs: http://a\n# between\n http://b\nSuites: x x-updates\nComponents: main\n universe\n\n\n"
        "Enabled: No\nTypes: deb deb-src\nURIs: file:/c\nSuites: ./\n"
    )
    here = guest(
        {
            "/etc/apt/sources.list.d/u.sources": text,
            "/etc/apt/sources.list.d/u.sources.save": text,
            "/etc/apt/sources.list.d/.u.list": "deb http://n x y\n",
        }
    )
    assert [(each.words, each.enabled, each.place) for each in sources(here)] == [
        ("deb http://a x main universe", True, "/etc/apt/sources.list.d/u.sources:2"),
        ("deb http://a x-updates main universe", True, "/etc/apt/sources.list.d/u.sources:2"),
        ("deb http://b x main universe", True, "/etc/apt/sources.list.d/u.sources:2"),
        ("deb http://b x-updates main universe", True, "/etc/apt/sources.list.d/u.sources:2"),
        ("deb file:/c ./", False, "/etc/apt/sources.list.d/u.sources:11"),
        ("deb-src file:/c ./", False, "/etc/apt/sources.list.d/u.sources:11"),
    ]


def test_a_list_of_mirrors_is_followed_and_one_that_is_missing_is_named():
    files = {
        "/etc/apt/sources.list": "deb mirror+file:/etc/apt/m x main\ndeb mirror+file:///gone x main\n",
        "/etc/apt/m": "# m\nhttps://a\tpriority:1\nhttps://b\n",
    }
    assert found(files) == [("deb https://a https://b x main", True, False), ("deb mirror+file:///gone x main", True, False)]


def test_repositories_of_yum_and_dnf():
    files = {
        "/etc/yum.conf": "[main]\ncachedir=/x\n[own]\nbaseurl = http://own\n",
        "/etc/yum.repos.d/c.repo": "[base]\nname=x\n#baseurl=http://no\nmirrorlist=http://m/?a=b\nenabled=0\n[media]\nbaseurl=file:///a\n       file:///b,cdrom:///c\n",
    }
    assert found(files) == [
        ("own http://own", True, False),
        ("base http://m/?a=b", False, False),
        ("media file:///a file:///b cdrom:///c", True, True),
    ]


def test_repositories_and_services_of_zypper():
    files = {
        "/etc/zypp/repos.d/a.repo": "[oss]\nenabled=1\nautorefresh=1\nbaseurl=http://oss\n[disc]\nenabled=1\nbaseurl=dvd:/?devices=/dev/sr0\n",
        "/etc/zypp/services.d/s.service": "[openSUSE]\nenabled=1\nurl=dir:/usr/share/x\n",
    }
    assert found(files) == [
        ("oss http://oss autorefresh", True, False),
        ("disc dvd:/?devices=/dev/sr0", True, True),
        ("openSUSE dir:/usr/share/x", True, False),
    ]


def test_a_stanza_that_multiplies_without_end_is_refused():
    text = f"Types: deb\nURIs: {'a ' * 2000}\nSuites: {'b ' * 2000}\n"
    with pytest.raises(Unreadable, match="more than 10000"):
        sources(guest({"/etc/apt/sources.list.d/u.sources": text}))
