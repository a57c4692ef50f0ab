"""A tap device as the relay's uplink, in a network namespace of our own: the platform's servers then have their real addresses.

Nothing in such a namespace leads outside, not even for QEMU. It takes user namespaces and ``/dev/net/tun``: ``unshare -Urn`` and
any command after it. Device requests are those of netdevice(7) and of the kernel's ``Documentation/networking/tuntap.rst``.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct

from vhdprep.rehearse.identity import GATEWAY, GATEWAY_MAC, METADATA, NETMASK, WIRE
from vhdprep.rehearse.network import frames

DEVICE = "/dev/net/tun"
NAME = "rehearsal0"

_TUNSETIFF = 0x400454CA
_IFF_TAP = 0x0002
_IFF_NO_PI = 0x1000
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_SIOCSIFADDR = 0x8916
_SIOCSIFNETMASK = 0x891C
_SIOCSIFHWADDR = 0x8924
_IFF_UP = 0x1
_ETHER = 1
"""``ARPHRD_ETHER``"""
_HOST = "255.255.255.255"

_FLAGS = struct.Struct("16sH22x")
_ADDRESS = struct.Struct("16sHH4s16x")
_HARDWARE = struct.Struct("16sH6s16x")


def open_tap() -> int:
    """Make the tap device, and give the platform's addresses to this namespace.

    Returns:
        A descriptor that does not block, of which each read and write is one frame; closed, it takes the device with it.

    Raises:
        OSError: There is no ``/dev/net/tun``, or this process may not change the network of its namespace.
    """
    tap = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(tap, _TUNSETIFF, _FLAGS.pack(NAME.encode(), _IFF_TAP | _IFF_NO_PI))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
            _configure(control)
    except OSError:
        os.close(tap)
        raise
    return tap


def _configure(control: socket.socket) -> None:
    _rise(control, "lo")
    for label, address in (("lo:1", WIRE), ("lo:2", METADATA)):  # a label makes it one more address
        _settle(control, label, address, _HOST)
    fcntl.ioctl(control, _SIOCSIFHWADDR, _HARDWARE.pack(NAME.encode(), _ETHER, frames.mac(GATEWAY_MAC)))
    _settle(control, NAME, GATEWAY, NETMASK)
    _rise(control, NAME)


def _settle(control: socket.socket, name: str, address: str, mask: str) -> None:
    for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, mask)):
        fcntl.ioctl(control, request, _ADDRESS.pack(name.encode(), socket.AF_INET, 0, socket.inet_aton(value)))


def _rise(control: socket.socket, name: str) -> None:
    _, flags = _FLAGS.unpack(fcntl.ioctl(control, _SIOCGIFFLAGS, _FLAGS.pack(name.encode(), 0)))
    fcntl.ioctl(control, _SIOCSIFFLAGS, _FLAGS.pack(name.encode(), flags | _IFF_UP))
