"""What two machines of one image have in common although it must differ, and what they may."""

from __future__ import annotations

import hashlib

import pytest

from tests.unit.memory import guest
from vhdprep.rehearsal import Twin
from vhdprep.rehearse import twins
from vhdprep.rehearse.twins import MAX_FILES, MAX_MARK, Mark, compare, marks

ID = "0123456789abcdef0123456789abcdef"


def digest(content):
    return hashlib.sha256(content).hexdigest()


def common(first, second=None):
    """Where two machines with these files have the same."""
    found = compare(marks(guest(first)), marks(guest(first if second is None else second)))
    return {each.where for each in found if each.equal}


BROUGHT = {
    "/etc/machine-id": f"{ID}\n",
    "/etc/hostid": "abcd",
    "/etc/ssh/ssh_host_rsa_key.pub": "ssh-rsa AAAA root@builder",
    "/etc/dropbear/dropbear_ed25519_host_key": "k",
    "/var/lib/systemd/random-seed": "seed",
    "/var/lib/systemd/credential.secret": "s",
    "/var/lib/dhcp/dhclient6.leases": 'default-duid "\\000\\001\\000\\001";\nlease6 {\n}\n',
    "/var/lib/dhcpcd/duid": "00:01:00:01",
    "/var/lib/wicked/duid.xml": "<duid>",
    "/var/lib/NetworkManager/secret_key": "nm-v2:x",
    "/etc/iscsi/initiatorname.iscsi": "## DO NOT EDIT\nInitiatorName=iqn.1993-08.org.debian:01:4f1c\n",
    "/etc/nvme/hostid": "1-2-3",
    "/etc/nvme/hostnqn": "nqn.2014-08",
    "/etc/pki/consumer/cert.pem": "c",
    "/etc/insights-client/machine-id": "m",
    "/etc/zypp/credentials.d/SCCcredentials": "username=SCC_1",
    "/var/lib/zypp/AnonymousUniqueId": "u",
    "/var/lib/ubuntu-advantage/private/machine-token.json": "{}",
    "/var/lib/snapd/device/private-keys-v1/abc": "k",
    "/etc/krb5.keytab": "k",
    "/var/lib/samba/private/secrets.tdb": "TDB",
    "/etc/salt/pki/minion/minion.pem": "k",
    "/etc/chef/client.pem": "k",
    "/etc/puppetlabs/puppet/ssl/private_keys/old.example.pem": "k",
    "/var/ossec/etc/client.keys": "001 old any 0123",
    "/etc/qualys/hostid": "h",
    "/opt/CrowdStrike/falconstore": "f",
    "/etc/opt/microsoft/omsagent/ws/certs/oms.key": "k",
    "/var/opt/azcmagent/agentconfig.json": '{"resourceName": "old", "vmId": "1"}',
    "/var/lib/tailscale/tailscaled.state": "{}",
    "/var/lib/amazon/ssm/registration": "r",
    "/var/lib/docker/engine-id": "e",
    "/etc/rancher/node/password": "p",
}


def test_what_the_image_brings_and_no_machine_makes_anew_is_in_common():
    assert common(BROUGHT) == set(BROUGHT)


@pytest.mark.parametrize("path", BROUGHT)
def test_what_each_machine_makes_for_itself_is_not(path):
    other = BROUGHT[path].replace("0123", "4567").replace("AAAA", "BBBB").replace("4f1c", "4f1d").replace("old", "new").replace("\\000", "\\007")
    other = f"{other}2" if other == BROUGHT[path] else other
    assert common({path: BROUGHT[path]}, {path: other}) == set()


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/machine-id": ""},
        {"/etc/machine-id": "\n"},
        {"/etc/machine-id": "uninitialized\n"},
        {},
        {"/etc/iscsi/initiatorname.iscsi": "GenerateName=yes\n"},
        {"/etc/iscsi/initiatorname.iscsi": "# InitiatorName=iqn.x is made by\nGenerateName=yes\n"},
        {"/var/lib/dhcp/dhclient.leases": 'lease {\n  interface "eth0";\n  fixed-address 10.0.0.4;\n  renew never;\n}\n'},
        {"/var/lib/dhcp/dhclient.leases": ""},
        {"/var/opt/azcmagent/agentconfig.json": '{"resourceName": "", "subscriptionId": "s", "cloud": "AzureCloud"}'},
        {"/etc/opt/microsoft/mdatp/mdatp_onboard.json": '{"orgId": "the same for all"}'},
        {"/etc/puppetlabs/puppet/ssl/certs/ca.pem": "the server's"},
        {"/etc/ssh/ssh_config": "x", "/etc/hosts": "127.0.0.1 localhost", "/etc/zypp/credentials.d/repository": "username=all"},
        {"/var/lib/NetworkManager/internal-1-eth0.lease": "ADDRESS=10.0.0.4"},
        {"/var/ossec/etc/client.keys": ""},
    ],
)
def test_what_is_the_same_by_design_is_no_twin(files):
    assert common(files) == set()


def test_a_host_key_is_the_same_whatever_its_comment_says():
    path = "/etc/ssh/ssh_host_ed25519_key.pub"
    assert common({path: "ssh-ed25519 AAAA root@one\n"}, {path: "ssh-ed25519 AAAA root@two\n"}) == {path}


def test_an_old_lease_does_not_hide_the_same_duid():
    path = "/var/lib/dhclient/dhclient6.leases"
    first, second = (f'default-duid "\\000\\001";\nlease6 {{\n  renew {number};\n}}\n' for number in (1, 2))
    assert common({path: first}, {path: second}) == {path}


def test_one_file_under_two_names_is_told_once():
    files = {"/etc/machine-id": f"{ID}\n", "/var/lib/dbus/machine-id": {"link": "/etc/machine-id"}}
    assert marks(guest(files)) == {"/etc/machine-id": Mark("machine id", digest(ID.encode()))}


def test_two_files_of_their_own_are_told_both():
    files = {"/etc/machine-id": f"{ID}\n", "/var/lib/dbus/machine-id": f"{ID[::-1]}\n"}
    assert set(marks(guest(files))) == set(files)


def test_what_cannot_be_read_is_neither_equal_nor_different():
    readable, hidden = guest({"/etc/machine-id": ID}), guest({"/etc/machine-id": ID}, unreadable=["/etc/machine-id", "/etc/ssh"])
    assert compare(marks(readable), marks(hidden)) == (Twin("machine id", "/etc/machine-id", None, ""),)


def test_a_file_too_large_to_compare_proves_nothing():
    assert common({"/var/lib/samba/private/secrets.tdb": "x" * (MAX_MARK + 1)}) == set()
    assert common({"/var/lib/samba/private/secrets.tdb": "x" * MAX_MARK}) == {"/var/lib/samba/private/secrets.tdb"}


def test_a_hostile_folder_is_read_to_a_bound():
    files = {f"/etc/ssh/ssh_host_{number:04}_key.pub": f"ssh-rsa {number}" for number in range(1000)}
    assert len(marks(guest(files))) == MAX_FILES


def test_what_is_said_of_each_mark():
    one, same = (
        {"/a": Mark("x", "a" * 64), "/b": Mark("y", "b" * 64), "/c": Mark("z", "c" * 64)},
        {"/a": Mark("x", "a" * 64), "/b": Mark("y", "d" * 64)},
    )
    assert compare(one, same) == (
        Twin("x", "/a", True, f"sha256:{'a' * 16}"),
        Twin("y", "/b", False, ""),
        Twin("z", "/c", None, ""),
    )
    assert compare({}, {}) == ()


def test_no_secret_is_in_what_is_told():
    found = compare(marks(guest(BROUGHT)), marks(guest(BROUGHT)))
    assert {len(each.value) for each in found} == {len("sha256:") + 16}


def test_every_expression_is_quick_on_any_content():
    hostile = dict.fromkeys(
        ("/etc/iscsi/initiatorname.iscsi", "/etc/machine-id", "/etc/ssh/ssh_host_a_key.pub"), "InitiatorName" * 10**5 + " " * 10**6
    )
    hostile |= {"/etc/iscsi/initiatorname.iscsi": "\n" * 10**6 + "x", "/var/lib/dhclient/b.leases": "\n" * 10**6 + "x"}
    hostile["/var/lib/dhcp/a.leases"] = 'default-duid "' * 10**5
    hostile["/var/opt/azcmagent/agentconfig.json"] = '"vmId":"' * 10**5
    assert len(marks(guest(hostile))) <= len(hostile)
    assert twins.MAX_MARK == 2**22
