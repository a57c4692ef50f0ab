"""The vocabulary of looking: every probe there is, in one tuple.

A probe is a verb of looking that could serve three rules; no product is in its name.
"""

from __future__ import annotations

from vhdprep.probes import boot, config, container, disk, efi, files, guest, leaks, mounts, network, programs, system, windows, windowsaccess
from vhdprep.probes.registry import ParameterInfo, Probe

__all__ = ["PROBES", "ParameterInfo", "Probe"]

PROBES: tuple[Probe, ...] = (
    container.vhd_field,
    container.vhd_defects,
    disk.disk_field,
    disk.disk_defects,
    disk.volumes,
    guest.guest_fact,
    guest.release_table,
    guest.accounts,
    guest.sudo_grants,
    files.file_kind,
    files.file_glob,
    files.file_lines,
    files.file_bytes,
    files.file_text,
    files.file_head,
    files.home_files,
    files.link_target,
    leaks.known_secrets,
    leaks.file_mentions,
    config.config_value,
    config.setting_files,
    config.yaml_value,
    config.yaml_problems,
    config.ssh_option,
    system.systemd_unit,
    system.unit_setting,
    system.package,
    system.package_sources,
    boot.boot_entry,
    boot.kernel_argument,
    boot.kernel_module,
    boot.early_module,
    boot.kernel_option,
    efi.efi_files,
    efi.efi_program,
    mounts.fstab_entries,
    mounts.crypttab_entries,
    network.network_profiles,
    windows.registry_value,
    windows.registry_key,
    windows.registry_subkeys,
    windows.registry_values,
    windows.windows_service,
    windows.windows_services,
    windows.setup_phase,
    windows.sealing_run,
    windows.store_apps,
    windows.windows_standing,
    windows.server_roles,
    windows.boot_element,
    windows.answer_file_sections,
    windows.answer_file_secrets,
    programs.file_version,
    programs.outdated_files,
    programs.device_filters,
    windowsaccess.firewall_traffic,
    windowsaccess.web_proxy,
    windowsaccess.network_adapters,
    windowsaccess.logon_rights,
    windowsaccess.local_accounts,
)
