"""A guest of a shell script: firmware, boot loader, kernel and initramfs of the real Debian, and a root with little but busybox in it.

It is up some seven seconds after its kernel, and does what the test wants it to. Nothing is mounted, and it needs no root.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING

from fixtures import vhdfile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
BUSYBOX = next((found for name in ("busybox",) if (found := shutil.which(name, path=_PATH))), None)
MISSING = [name for name in ("debugfs", "mke2fs", "mkfs.fat", "mcopy", "mmd", "sfdisk", "busybox") if shutil.which(name, path=_PATH) is None]
"""Programs that building one takes, and that this host does not have."""
ROOT = "0f7c5f5a-3a6c-4d0e-9f57-6d1ce0a7b001"
MIB = 1024 * 1024
_ESP = (1, 48)
_ROOT = (49, 160)
"""First MiB, and how many."""
_MODULES = ("udf", "crc-itu-t", "cdrom", "sr_mod", "failover", "net_failover", "virtio_net", "nls_utf8")
PRELUDE = """#!/bin/sh
export PATH=/bin:/sbin
mount -t proc proc /proc; mount -t sysfs sys /sys 2>/dev/null; mount -t devtmpfs dev /dev 2>/dev/null
exec </dev/ttyS0 >/dev/ttyS0 2>&1
for each in failover net_failover virtio_net cdrom sr_mod crc-itu-t udf; do insmod /lib/modules/$each.ko 2>/dev/null; done
online() { ip link set lo up; ip link set eth0 up; udhcpc -q -n -i eth0 -s /bin/lease; }
health() { wget -q -O - -U "$1" --header 'Content-Type: text/xml' --post-data "<Health><State>$2</State><SubStatus>$3</SubStatus><Description>$4</Description></Health>" 'http://168.63.129.16/machine?comp=health'; }
tray() { echo 1 >/proc/sys/dev/cdrom/autoeject; mount -t udf /dev/sr0 /mnt; cat /mnt/ovf-env.xml >/root/ovf; umount /mnt; }
echo 'tiny: up'
"""
"""How every script begins: ``online`` asks for an address, ``health AGENT STATE SUBSTATUS WORDS`` reports to the platform,
``tray`` reads the DVD and opens its drive."""
_LEASE = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip address add $ip/24 dev $interface; ip route add default via $router; echo "nameserver $dns" >/etc/resolv.conf
"""
_GRUB = """set timeout=0
menuentry 'Debian GNU/Linux' {{
  search --no-floppy --fs-uuid --set=root {root}
  linux /boot/vmlinuz-{version} root=UUID={root} rw console=ttyS0 net.ifnames=0 mitigations=off {more}
  initrd /boot/initrd.img-{version}
}}
"""


class Kit:
    """What tiny guests are made of, taken out of the real image once."""

    def __init__(self, image: Path, facts: Path, folder: Path) -> None:
        """``facts``: of the real image; ``folder`` keeps the parts."""
        self._folder, self._tree = folder, folder / "tree"
        where = json.loads(facts.read_text())["disk"]["partitions"]
        root = f"{image}?offset={where['1']['start']}"
        self._version = re.findall(r"/vmlinuz-([^/]+)/", _run("debugfs", "-R", "ls -p /boot", root))[0]
        modules = f"/usr/lib/modules/{self._version}"
        listed = [line.partition(":")[0] for line in _run("debugfs", "-R", f"cat {modules}/modules.dep", root).splitlines()]
        ours = [each for each in listed if each.rpartition("/")[2].removesuffix(".ko") in _MODULES]
        for each in ("boot/grub", "bin", "sbin", "etc", f"lib/modules/{self._version}", "dev", "proc", "sys", "tmp", "run", "var", "mnt", "root"):
            (self._tree / each).mkdir(parents=True)
        takes = {f"/boot/{name}-{self._version}": f"boot/{name}-{self._version}" for name in ("vmlinuz", "initrd.img", "config")}
        takes |= {f"{modules}/{name}": f"lib/modules/{self._version}/{name}" for name in ("modules.dep", "modules.builtin")}
        takes |= {f"{modules}/{name}": f"lib/modules/{name.rpartition('/')[2]}" for name in ours}
        takes["/usr/lib/os-release"] = "etc/os-release"
        _run("debugfs", "-f", "-", root, text="\n".join(f"dump {source} {self._tree / target}" for source, target in takes.items()))
        assert BUSYBOX
        shutil.copy(BUSYBOX, self._tree / "bin/busybox")
        for applet in _run(BUSYBOX, "--list").split():
            if applet != "busybox":
                (self._tree / "bin" / applet).symlink_to("busybox")
        self.put({"bin/lease": _LEASE, "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/fstab": f"UUID={ROOT} / ext4 defaults 0 1\n"})
        self._esp(f"{image}@@{where['15']['start']}")

    def put(self, files: Mapping[str, str]) -> None:
        """Write files into every guest that is made from now on."""
        for path, content in files.items():
            (self._tree / path).write_text(content)
            (self._tree / path).chmod(0o755)

    def make(self, target: Path, script: str, *, more: str = "") -> Path:
        """A fixed VHD at ``target`` whose only process is ``script``, after ``PRELUDE``; ``more``: words for the kernel."""
        grub = _GRUB.format(root=ROOT, version=self._version, more=more)
        self.put({"sbin/init": f"{PRELUDE}{script}\nwhile :; do sleep 1000; done\n", "boot/grub/grub.cfg": grub})
        raw = target.with_suffix(".raw")
        with raw.open("wb") as file:
            file.truncate((_ROOT[0] + _ROOT[1] + 1) * MIB)
        table = ["label: gpt"]
        for (start, size), kind in ((_ESP, "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"), (_ROOT, "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709")):
            table.append(f"start={start}MiB, size={size}MiB, type={kind}")
        _run("sfdisk", "-q", str(raw), text="\n".join(table))
        _run("dd", f"if={self._folder / 'esp.fat'}", f"of={raw}", "bs=1M", f"seek={_ESP[0]}", "conv=notrunc,sparse")
        options = f"offset={_ROOT[0] * MIB},root_owner=0:0"
        _run("mke2fs", "-q", "-F", "-t", "ext4", "-d", str(self._tree), "-U", ROOT, "-E", options, str(raw), f"{_ROOT[1] * 1024}k")
        vhdfile.write(raw, target, kind="fixed", footer=None)
        raw.unlink(missing_ok=True)
        return target

    def _esp(self, source: str) -> None:
        esp = self._folder / "esp.fat"
        _run("mkfs.fat", "-F", "32", "-C", str(esp), str(_ESP[1] * 1024))
        config = self._folder / "esp.cfg"
        config.write_text(f"search.fs_uuid {ROOT} root\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n")
        _run("mmd", "-i", str(esp), "::/EFI", "::/EFI/BOOT", "::/EFI/debian")
        for name in ("BOOTX64.EFI", "grubx64.efi"):
            _run("mcopy", "-i", source, f"::/EFI/BOOT/{name}", str(self._folder / name))
            _run("mcopy", "-i", str(esp), str(self._folder / name), f"::/EFI/BOOT/{name}")
        for folder in ("BOOT", "debian"):  # the signed GRUB looks in the second one
            _run("mcopy", "-i", str(esp), str(config), f"::/EFI/{folder}/grub.cfg")


def _run(*words: str, text: str = "") -> str:
    """What a tool prints; it must succeed."""
    program = shutil.which(words[0], path=_PATH) or words[0]
    done = subprocess.run([program, *words[1:]], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (words, done.stdout, done.stderr)
    return done.stdout
