"""The provisioning DVD: one file, ``ovf-env.xml``, on a UDF volume.

Sources: Azure/WALinuxAgent@a976115f ``common/protocol/ovfenv.py`` and ``tests/data/ovf-env.xml``; canonical/cloud-init@04eacd06
``sources/helpers/azure.py`` (``OvfEnvXml``), 22.4 ``tools/ds-identify`` (the label, in a comment of ``dscheck_Azure``); Azure/azure-init@02fc7805
``libazureinit/src/media.rs`` (which knows ``PlatformSettings`` without a prefix only).
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from vhdprep.errors import BackendUnavailable, UsageError
from vhdprep.rehearse.identity import custom_data

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vhdprep.rehearse.identity import Identity

FILE = "ovf-env.xml"
LABEL = "rd_rdfe_stable.161212-1209"
"""What Azure's own DVD was called when somebody wrote it down; older ds-identify look for ``rd_rdfe_*``."""
_SECTOR = 2048
_RECOGNITION = 16
"""The sector at which the volume recognition sequence begins (ECMA-167, 2/8.3)."""
_LABEL = re.compile(r"[\x20-\x7e]{1,30}")
"""A d-string of 32 bytes holds 30 letters of one byte (OSTA UDF 2.60, 2.1.3 and 2.2.2.4)."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_OVF_ENV = """\
<?xml version="1.0" encoding="utf-8"?>
<Environment xmlns="http://schemas.dmtf.org/ovf/environment/1" xmlns:oe="http://schemas.dmtf.org/ovf/environment/1"\
 xmlns:wa="http://schemas.microsoft.com/windowsazure" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <wa:ProvisioningSection>
    <wa:Version>1.0</wa:Version>
    <LinuxProvisioningConfigurationSet xmlns="http://schemas.microsoft.com/windowsazure" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <ConfigurationSetType>LinuxProvisioningConfiguration</ConfigurationSetType>
      <HostName>{host}</HostName>
      <UserName>{user}</UserName>
      <DisableSshPasswordAuthentication>true</DisableSshPasswordAuthentication>
      <SSH>
        <PublicKeys>
          <PublicKey>
            <Fingerprint>{fingerprint}</Fingerprint>
            <Path>/home/{user}/.ssh/authorized_keys</Path>
            <Value>{key}</Value>
          </PublicKey>
        </PublicKeys>
      </SSH>
      <CustomData>{data}</CustomData>
    </LinuxProvisioningConfigurationSet>
  </wa:ProvisioningSection>
  <wa:PlatformSettingsSection>
    <wa:Version>1.0</wa:Version>
    <PlatformSettings xmlns="http://schemas.microsoft.com/windowsazure" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
      <KmsServerHostname>kms.core.windows.net</KmsServerHostname>
      <ProvisionGuestAgent>true</ProvisionGuestAgent>
      <GuestAgentPackageName i:nil="true"/>
      <RetainWindowsPEPassInUnattend>true</RetainWindowsPEPassInUnattend>
      <RetainOfflineServicingPassInUnattend>true</RetainOfflineServicingPassInUnattend>
      <PreprovisionedVm>false</PreprovisionedVm>
      <PreprovisionedVMType>None</PreprovisionedVMType>
      <EnableTrustedImageIdentifier>false</EnableTrustedImageIdentifier>
    </PlatformSettings>
  </wa:PlatformSettingsSection>
</Environment>
"""


def ovf_env(identity: Identity) -> bytes:
    """The description of a Linux machine without a password, in UTF-8.

    Every client takes the key from ``Value``; ``Fingerprint`` matters only where that is missing, and here it is the SHA-1 of the key.
    """
    values = {
        "host": identity.host,
        "user": identity.user,
        "fingerprint": _fingerprint(identity.public_key),
        "key": identity.public_key,
        "data": base64.b64encode(custom_data(identity).encode()).decode(),
    }
    return _OVF_ENV.format_map({name: escape(value) for name, value in values.items()}).encode()


def make(files: Mapping[str, bytes], label: str = LABEL) -> bytes:
    """A DVD image with ``files`` (name → content) in its root directory and no trace of ISO 9660, as blkid and the kernel see it.

    Raises:
        UsageError: the label is not 1 to 30 printable ASCII characters, or a name is no plain file name.
        BackendUnavailable: pycdlib is not installed.
    """
    if not _LABEL.fullmatch(label):
        raise UsageError(f"{label!r} is no label of a DVD; it has 1 to 30 printable ASCII characters")
    if wrong := [name for name in files if not _NAME.fullmatch(name)]:
        raise UsageError(f"{wrong[0]!r} is no file name for a DVD; it has up to 100 of the letters A-Z, a-z, 0-9, '.', '_' and '-'")
    bridge = _library().PyCdlib()
    bridge.new(udf="2.60", vol_ident=label)
    out = io.BytesIO()
    try:
        for name, content in files.items():
            bridge.add_fp(io.BytesIO(content), len(content), udf_path=f"/{name}")
        bridge.write_fp(out)
    finally:
        bridge.close()
    return _only_udf(out.getvalue())


def _fingerprint(public_key: str) -> str:
    """SHA-1 of an OpenSSH line's key, in the shape of a certificate's thumbprint."""
    blob = base64.b64decode(public_key.split()[1])
    return hashlib.sha1(blob, usedforsecurity=False).hexdigest().upper()


def _only_udf(bridge: bytes) -> bytes:
    """A bridge of ISO 9660 and UDF without the former: of the recognition sequence only what is not CD001 stays, moved to its beginning.

    The sequence ends at the first sector that is no volume structure descriptor (ECMA-167, 2/8.3.1).
    """
    own, after = b"", _RECOGNITION
    while (sector := bridge[after * _SECTOR :][:_SECTOR]).startswith((b"\0", b"\1", b"\xff")) and any(sector):
        own += b"" if sector[1:6] == b"CD001" else sector
        after += 1
    return bridge[: _RECOGNITION * _SECTOR] + own.ljust((after - _RECOGNITION) * _SECTOR, b"\0") + bridge[after * _SECTOR :]


def _library() -> Any:
    try:
        import pycdlib
    except ImportError as error:
        raise BackendUnavailable("rehearsals need pycdlib; install it: pip install 'vhdprep[rehearse]'") from error
    return pycdlib
