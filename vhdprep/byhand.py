"""What a person does by hand where the program is not to do it: steps derived from a remedy."""

from __future__ import annotations

import shlex
from typing import assert_never

from vhdprep import registrytext
from vhdprep import remedy as kinds

_SC = {"boot": "boot", "system": "system", "automatic": "auto", "manual": "demand", "disabled": "disabled"}
"""sc.exe's words for the ways in which a service starts."""


def steps(remedy: kinds.Remedy) -> tuple[str, ...]:
    """The rule's own words, else those of the remedy's kind."""
    if isinstance(remedy, kinds.Manual):
        return remedy.steps
    return remedy.by_hand or _steps(remedy)


def on_a_copy(remedy: kinds.Remedy, target: str = "generalized") -> str:
    """The command that does it on a copy, which is to become ``target``; empty where only a person can."""
    allowed = {kinds.Disposition.SAFE: "", kinds.Disposition.UNSAFE: " --allow unsafe", kinds.Disposition.MANUAL: None}[remedy.disposition]
    destination = "" if target == "generalized" else f" --as {target}"
    return "" if allowed is None else f"vhdprep prepare IMAGE COPY{destination}{allowed}"


def _steps(remedy: kinds.Remedy) -> tuple[str, ...]:  # noqa: C901 - one case a kind
    match remedy:
        case kinds.RemoveFiles():
            return (f"{_shell(remedy.patterns)}rm -rf {' '.join(remedy.patterns)}",)
        case kinds.RemoveFoundFiles():
            return ("In the guest, as root, for each path that is named above: rm -rf PATH",)
        case kinds.TruncateFiles():
            return (f"{_shell(remedy.patterns)}truncate -c -s 0 {' '.join(remedy.patterns)}",)
        case kinds.WriteFile():
            return (f"In the guest, write {remedy.path} with this content:", *(f"  {line}" for line in remedy.text.rstrip().splitlines()))
        case kinds.MakeLink():
            return (f"In the guest, as root: ln -sfn {remedy.target} {remedy.path}",)
        case kinds.AppendLine():
            return (f"In the guest, as root: echo {shlex.quote(remedy.line)} >> {' or '.join(remedy.first_present)}",)
        case kinds.SetConfigValue():
            return (f"In the guest, set in {remedy.path}: {remedy.key}={remedy.value}",)
        case kinds.SetIniValue():
            return (f"In the guest, set in {remedy.path}, below [{remedy.section}]: {remedy.key}={remedy.value}",)
        case kinds.SetSshOption():
            return (f"In the guest, on the first line of /etc/ssh/sshd_config: {remedy.option} {remedy.value}",)
        case kinds.CommentOutFoundLines():
            return ("In the guest, put a # before each line that is named above",)
        case kinds.BlankFoundLines():
            return ("In the guest, as root, delete each line that is named above",)
        case kinds.NameFoundVolumes():
            return ("See the UUID: blkid; then write UUID=... in the first field of each line that is named above",)
        case kinds.NameRootByUuid():
            return ("See the UUID: blkid; then write root=UUID=... in the place of the device in every boot entry",)
        case kinds.AddMountOption():
            return (f"Add {remedy.option} to the fourth field of each line of /etc/fstab that is named above",)
        case kinds.SetKernelArguments():
            return _boot_steps(remedy.add, remedy.remove)
        case kinds.EnableSystemdUnit():
            return _enable_steps(*remedy.first_present)
        case kinds.EnableSystemdUnits():
            return (f"In the guest, as root: systemctl unmask {' '.join(remedy.units)}; systemctl enable {' '.join(remedy.units)}",)
        case kinds.DisableSystemdUnits():
            return (f"In the guest, as root: systemctl disable {' '.join(remedy.units)}",)
        case kinds.AddUnitSettings():
            place = f"/etc/systemd/system/{' or '.join(remedy.first_present)}.d/{remedy.name}"
            return (f"In the guest, write {place} with this content:", *(f"  {line}" for line in remedy.text.rstrip().splitlines()))
        case kinds.LockPassword():
            return (f"In the guest, as root: usermod -p '*' {remedy.account} (FreeBSD: pw usermod {remedy.account} -h -)",)
        case kinds.LockFoundPasswords():
            return ("In the guest, as root, for each of them: usermod -p '*' NAME (FreeBSD: pw usermod NAME -h -)",)
        case kinds.SetRegistryValue():
            return (_reg_add(registrytext.RegistryValue(remedy.key, remedy.name, remedy.type, remedy.value)),)
        case kinds.RemoveRegistryValue():
            return (f'In the guest, as administrator: reg delete "{remedy.key}" /v {remedy.name} /f',)
        case kinds.RemoveRegistryKey():
            return (f'In the guest, as administrator: reg delete "{remedy.key}" /f',)
        case kinds.SetRegistryValues():
            return tuple(_reg_add(registrytext.registry_value(each)) for each in remedy.values)
        case kinds.RemoveFoundKeys():
            return (
                'In the guest, as administrator, for each value that is named above: reg delete "KEY" /v NAME /f; for each key: reg delete "KEY" /f',
            )
        case kinds.StartFoundServices():
            return (f"In the guest, as administrator, for each service that is named above: sc.exe config NAME start= {_SC[remedy.start]}",)
        case kinds.EnableFirewallRules():
            return (f"In the guest, in PowerShell as administrator: Enable-NetFirewallRule -Name {', '.join(remedy.rules)}",)
        case kinds.ConvertVhd():
            return _convert_steps(remedy.source)
        case kinds.Manual():
            return remedy.steps
        case _:
            assert_never(remedy)


def _reg_add(value: registrytext.RegistryValue) -> str:
    return f'In the guest, as administrator: reg add "{value.key}" /v {value.name} /t REG_{value.type.upper()} /d "{value.data}" /f'


def _shell(patterns: tuple[str, ...]) -> str:
    """Where to type a command with these patterns: braces and ``**`` are bash's."""
    wide = "shopt -s globstar; " if any("**" in pattern for pattern in patterns) else ""
    shell = "bash" if wide or any("{" in pattern for pattern in patterns) else "a shell"
    return f"In {shell} of the guest, as root: {wide}"


def _boot_steps(add: tuple[str, ...], remove: tuple[str, ...]) -> tuple[str, ...]:
    """How a person changes the kernel's command line."""
    wanted = [f"add {' '.join(add)} to GRUB_CMDLINE_LINUX"] if add else []
    wanted += [f"delete {' '.join(remove)}"] if remove else []
    options = [f"--args='{' '.join(add)}'"] if add else []
    options += [f"--remove-args='{' '.join(remove)}'"] if remove else []
    return (
        f"Debian, Ubuntu, in /etc/default/grub: {', '.join(wanted)}; then run update-grub",
        f"Red Hat family: grubby --update-kernel=ALL {' '.join(options)}",
        "SUSE: edit /etc/default/grub, then grub2-mkconfig -o /boot/grub2/grub.cfg",
    )


def _enable_steps(first: str, *others: str) -> tuple[str, ...]:
    either = f" (or {', '.join(others)}, whichever is installed)" if others else ""
    return (f"In the guest, as root: systemctl unmask {first}; systemctl enable {first}{either}",)


def _convert_steps(source: str) -> tuple[str, ...]:
    """qemu-img measures a VHD by its cylinders for some creators and would lose the end: it is told not to."""
    by_size = "--image-opts driver=vpc,force_size_calc=current_size,file.filename=SOURCE"
    return (
        f"qemu-img convert {by_size if source == 'vpc' else f'-f {source} SOURCE'} -O raw disk.raw",
        "qemu-img resize -f raw disk.raw SIZE   (SIZE: the next whole number of MiB; on GPT then: sgdisk -e disk.raw)",
        "qemu-img convert -f raw -O vpc -o subformat=fixed,force_size=on disk.raw IMAGE.vhd",
    )
