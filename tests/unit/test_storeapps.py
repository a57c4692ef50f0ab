"""Store apps that only some user has: by family, without frameworks and parts of Windows."""

from __future__ import annotations

import pytest

from vhdprep.errors import Unreadable
from vhdprep.guest import storeapps
from vhdprep.model import Observation
from vhdprep.ruleset.selftest import build_image

STORE = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Appx\AppxAllUserStore"
USER = r"S-1-5-21-1-2-3-1001"


def found(*packages, user=USER, for_all=(), files=None, **given):
    keys = {rf"{STORE}\{user}\{each}": {} for each in packages} | {rf"{STORE}\Applications\{each}": {} for each in for_all}
    return storeapps.unprovisioned(build_image({"registry": {STORE: {}, **keys}, "files": files or {}, **given}).guest)


def manifest(package, text):
    return {f"/Program Files/WindowsApps/{package}/AppxManifest.xml": text}


def test_an_app_of_one_user_is_named_with_its_key():
    app = "A.B_1.0_x64__8wek"
    assert found(app).parts == (Observation(app, rf"{STORE}\{USER}\{app}"),)
    assert found(app, user="S-1-12-1-1-2-3-4").value
    assert not found(app, user="S-1-5-18").value
    assert not found().value


def test_families_are_compared_by_name_and_publisher():
    assert not found("A.B_2.0_x64__8WEK", for_all=["a.b_1.0_neutral_~_8wek"]).value
    assert found("A.B_2.0_x64__8wek", for_all=["A.B_2.0_neutral_~_other"]).value
    assert found("A.B_2.0_x64__8wek", for_all=["A.BC_2.0_neutral_~_8wek"]).value


@pytest.mark.parametrize(
    ("text", "is_app"),
    [
        ("<Framework>true</Framework>", False),
        ("<uap6:ResourcePackage> TRUE </uap6:ResourcePackage>", False),
        ("<Framework>false</Framework>", True),
        ("<Frameworks>true</Frameworks>", True),
    ],
)
def test_frameworks_and_packages_of_resources_are_left_out(text, is_app):
    assert bool(found("A.B_1.0_x64__8wek", files=manifest("A.B_1.0_x64__8wek", text)).value) == is_app


def test_what_cannot_be_read_is_undecided():
    package = "A.B_1.0_x64__8wek"
    for place in (STORE, f"/Program Files/WindowsApps/{package}/AppxManifest.xml"):
        with pytest.raises(Unreadable):
            found(package, files=manifest(package, ""), unreadable=[place])
    with pytest.raises(Unreadable, match="more than 5000 packages"):
        found(*(f"A.B{number}_1.0_x64__8wek" for number in range(5001)))
