"""What is written for a shell, PowerShell, Bicep and Terraform is read by them as it was meant, whatever the file is called.

The Azure CLI's own parser is asked where a Python with azure-cli is named (``VHDPREP_AZURE_CLI_PYTHON``) or is the one that runs.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.uploads import HOSTILE, every_kind, ready
from vhdprep.model import Target
from vhdprep.report import upload
from vhdprep.report.upload import quoting
from vhdprep.report.upload.azurecli import as_file

KINDS = every_kind()
WAYS = {name: upload.ways(upload.plan(report)) for name, report in KINDS.items()}
MORE = ("", "'", "$", "%{", "$${x}%%{y}", "\\${x}", "\\\\${a}", "a\0b", "\\u0041", "\\n", "\r\n", "\u2028", "$'\\x41'", "#{x}")
TEXTS = [*HOSTILE, *MORE]
STUBS = """
az() { printf '%s\\0' az "$@" >> "$SEEN"; printf '\\n\\0' >> "$SEEN"; case " $* " in *grant-access*) echo 'https://x/y?a=1&b=2' ;; *' show '*) echo "ID-$6" ;; esac; }
azcopy() { printf '%s\\0' azcopy "$@" >> "$SEEN"; printf '\\n\\0' >> "$SEEN"; }
"""


def run_in_bash(lines: list[str], place: Path) -> list[list[str]]:
    """What ``az`` and ``azcopy`` are called with when the lines are pasted into a shell."""
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    seen = place / "seen"
    place.joinpath("in").mkdir()
    script = (STUBS + "\n".join(lines) + "\n").encode()
    done = subprocess.run(
        ["bash", "--norc"],
        input=script,
        cwd=place / "in",
        env={"SEEN": str(seen), "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr, list(place.joinpath("in").iterdir())) == (0, b"", [])
    return [call.strip("\0").split("\0") for call in os.fsdecode(seen.read_bytes()).split("\n\0") if call]


@pytest.mark.parametrize("path", HOSTILE)
def test_a_shell_gives_azcopy_the_file_and_the_address_that_it_was_given(path, tmp_path):
    calls = run_in_bash(upload.ways(upload.plan(ready(path=path)))["azure-cli"], tmp_path)
    assert [each for each in calls if each[0] == "azcopy"] == [["azcopy", "copy", as_file(path), "https://x/y?a=1&b=2", "--blob-type", "PageBlob"]]


def test_a_shell_gives_the_ids_of_the_disks_to_the_image_version(tmp_path):
    version = run_in_bash(upload.ways(upload.plan(ready(data=2, target=Target.SPECIALIZED)))["azure-cli"], tmp_path)[-1]
    assert version[-8:] == ["--os-snapshot", "ID-web", "--data-snapshots", "ID-d0", "ID-d1", "--data-snapshot-luns", "0", "1"]


def test_a_shell_gives_the_id_of_the_managed_image_to_the_image_version(tmp_path):
    calls = run_in_bash(upload.ways(upload.plan(ready(data=2)))["azure-cli"], tmp_path)
    assert [each[-5:] for each in calls if each[1:3] == ["image", "create"]] == [["--source", "ID-web", "--data-disk-sources", "ID-d0", "ID-d1"]]
    assert calls[-1][-2:] == ["--managed-image", "ID-web"]


def test_names_that_a_manifest_declares_are_taken_as_they_are(tmp_path):
    calls = run_in_bash(WAYS["declared"]["azure-cli"], tmp_path)
    definition = next(each for each in calls if "image-definition" in each)
    assert definition[4:16] == ["-g", "my group", "-r", "it's", "-i", "web", "-l", "westeurope", "--publisher", "$(x)", "--offer", "${x}"]


@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=3).map("".join) | st.text(max_size=20))
def test_a_literal_is_one_line_of_visible_letters(text):
    for quote in (quoting.shell, quoting.powershell, quoting.bicep, quoting.hcl):
        literal = quote(text)
        assert literal
        assert all(map(quoting.is_visible, literal))


def powershell_value(literal: str) -> str:
    """What PowerShell makes of a literal, by its documentation."""
    value = ""
    body = literal[1:-1] if literal.startswith("(") else literal
    token = re.compile(r"'((?:[^'\u2018\u2019\u201a\u201b]|(['\u2018\u2019\u201a\u201b])\2)*)'|\[char\](\d+)|\[char\]::ConvertFromUtf32\((\d+)\)")
    while body:
        found = token.match(body)
        assert found, body
        numbers = found[3] or found[4]
        value += chr(int(numbers)) if numbers else re.sub("(['\u2018\u2019\u201a\u201b])\\1", r"\1", found[1])
        body = body[found.end() :].removeprefix(" + ")
    return value


def bicep_value(literal: str) -> str:
    assert re.fullmatch(r"'(?:[^\\'$]|\\.)*'", literal), literal
    simple = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(?:u\{(\w+)\}|(.))", lambda found: chr(int(found[1], 16)) if found[1] else simple.get(found[2], found[2]), literal[1:-1])


@pytest.mark.parametrize("text", TEXTS)
def test_powershell_and_bicep_read_the_text(text):
    assert powershell_value(quoting.powershell(text)) == text
    assert bicep_value(quoting.bicep(text)) == re.sub("[\ud800-\udfff]", "\ufffd", text)


def test_terraform_reads_the_texts():
    program = terraform()
    asked = 'join(",", [' + ", ".join(f"base64encode({quoting.hcl(text)})" for text in TEXTS) + "])\n"
    done = subprocess.run([program, "console"], input=asked, capture_output=True, text=True, cwd="/", check=True)
    values = [base64.b64decode(each).decode() for each in json.loads(done.stdout).split(",")]
    assert values == [re.sub("[\ud800-\udfff\0]", "\ufffd", text) for text in TEXTS]


def terraform() -> str:
    return shutil.which("terraform") or pytest.skip("there is no terraform")


def test_terraform_would_write_every_file_as_it_is():
    program = terraform()
    for name, ways in WAYS.items():
        done = subprocess.run([program, "fmt", "-"], input=ways["terraform"], capture_output=True, text=True, check=False)
        assert (name, done.returncode, done.stdout) == (name, 0, ways["terraform"])


def test_every_terraform_file_parses_and_has_its_resources():
    hcl2 = pytest.importorskip("hcl2", reason="python-hcl2 is not installed")
    for name, ways in WAYS.items():
        kinds = [kind.strip('"') for each in hcl2.loads(ways["terraform"])["resource"] for kind in each]
        planned = upload.plan(KINDS[name])
        of_disks = planned.data_disks and not planned.from_image
        image = "azurerm_image" if planned.destination == "managed-image" else "azapi_resource" if of_disks else "azurerm_shared_image_version"
        assert kinds.count("azurerm_managed_disk") == len(planned.disks), name
        assert image in kinds, name


@pytest.mark.parametrize(("grammar", "way"), [("tree_sitter_bicep", "bicep"), ("tree_sitter_powershell", "powershell")])
def test_every_file_of_bicep_and_powershell_parses(grammar, way):
    tree_sitter = pytest.importorskip("tree_sitter", reason="tree-sitter is not installed")
    language = pytest.importorskip(grammar, reason=f"{grammar} is not installed").language()
    parser = tree_sitter.Parser(tree_sitter.Language(language))
    assert parser.parse(b"resource = {'").root_node.has_error
    for name, ways in WAYS.items():
        text = ways[way] if isinstance(ways[way], str) else "\n".join(ways[way]) + "\n"
        assert not parser.parse(text.encode()).root_node.has_error, f"{name}:\n{text}"


def azure_cli_python() -> str:
    named = os.environ.get("VHDPREP_AZURE_CLI_PYTHON")
    if named:
        return named
    try:
        found = importlib.util.find_spec("azure.cli.core")
    except ModuleNotFoundError:
        found = None
    return sys.executable if found else pytest.skip("no Python with azure-cli: name one in VHDPREP_AZURE_CLI_PYTHON")


def refused(lines: list[list[str]]) -> dict[str, str]:
    """The lines that the Azure CLI does not take → what it says."""
    done = subprocess.run(
        [azure_cli_python(), str(Path(__file__).parent.parent / "azparse.py")], input=json.dumps(lines), capture_output=True, text=True, check=True
    )
    return {shlex.join(line): said for line, said in zip(lines, json.loads(done.stdout), strict=True) if said is not None}


def arguments(line: str) -> list[str]:
    """Of ``az …`` or ``NAME=$(az …)``, without ``az``."""
    return shlex.split(re.sub(r"^\w+=\$\((.*)\)$", r"\1", line))[1:]


def test_the_azure_cli_takes_every_line():
    lines = {
        line
        for name, ways in WAYS.items()
        if not name.startswith("file name")  # what stands in these comes to azcopy alone
        for line in (*ways["azure-cli"], *ways.get("azure-cli-machine", ()))
        if not line.startswith("azcopy")
    }
    assert len(lines) > 60
    assert refused([arguments(line) for line in sorted(lines)]) == {}


def test_the_azure_cli_refuses_what_is_wrong():
    wrong = "az disk create -g GROUP -n web --upload-type Upload --upload-size-bytes many --os-type Linux"
    assert list(refused([arguments(wrong)])) == [shlex.join(arguments(wrong))]
