"""What to do next with a ready image: the parameters of its upload, and the very commands in four languages.

``plan`` gathers what the image is and what its manifest declares; each of ``azurecli``, ``powershell``, ``bicep`` and ``terraform`` writes
that plan down, purely. Everything that comes from the image or its manifest is quoted by ``quoting``.
"""

from __future__ import annotations

from typing import Any

from vhdprep.report.upload import azurecli, bicep, powershell, terraform
from vhdprep.report.upload.planning import Disk, Names, Plan, fill_in, plan, withheld

__all__ = ["TITLES", "Disk", "Names", "Plan", "document", "fill_in", "headline", "plan", "tags", "ways", "withheld"]

TITLES = {
    "azure-cli": ("Azure CLI and AzCopy", "sh"),
    "azure-cli-machine": ("Azure CLI: one machine of these disks, in the place of the lines that make the image", "sh"),
    "powershell": ("Azure PowerShell", "powershell"),
    "bicep": ("Bicep: image.bicep", "bicep"),
    "terraform": ("Terraform: image.tf", "hcl"),
}
"""Each way in words, and the name of its language for a code block."""


def ways(planned: Plan) -> dict[str, list[str] | str]:
    """Each way of uploading: lines to paste in order, or a whole file. ``azure-cli-machine``: instead of the lines from the image on."""
    machine: dict[str, list[str] | str] = {"azure-cli-machine": azurecli.machine(planned)} if planned.os_state == "Specialized" else {}
    return {
        "azure-cli": azurecli.lines(planned),
        **machine,
        "powershell": powershell.lines(planned),
        "bicep": bicep.text(planned),
        "terraform": terraform.text(planned),
    }


def document(planned: Plan) -> dict[str, Any]:
    """The block ``upload`` of the JSON report."""
    return {
        "size_bytes": planned.os_disk.size_bytes,
        "os_type": planned.os_type,
        "generation": planned.generation,
        "os_state": planned.os_state,
        "architecture": planned.architecture,
        "security_type": planned.security_type,
        "disk_controllers": list(planned.disk_controllers),
        "accelerated_networking": planned.accelerated_networking,
        "destination": planned.destination,
        "disks": [each._asdict() for each in planned.disks],
        "fill_in": fill_in(planned),
        "commands": azurecli.lines(planned),
        "ways": ways(planned),
    }


def headline(planned: Plan) -> str:
    """``Linux, Generalized, Generation 2, x64, 67109376 bytes``; what is not known is not named."""
    sizes = " + ".join(str(each.size_bytes) for each in planned.disks)
    generation = f"Generation {planned.generation}" if planned.generation else ""
    return ", ".join(part for part in (planned.os_type, planned.os_state, generation, planned.architecture, f"{sizes} bytes") if part)


def tags(planned: Plan) -> str:
    """``security type TrustedLaunchSupported, disk controllers SCSI and NVMe, accelerated networking``."""
    network = {True: ", accelerated networking", False: ", no accelerated networking", None: ""}[planned.accelerated_networking]
    plural = "s" if len(planned.disk_controllers) > 1 else ""
    shallow = ", shallow replication" if planned.shallow else ""
    return f"security type {planned.security_type}, disk controller{plural} {' and '.join(planned.disk_controllers)}{network}{shallow}"
