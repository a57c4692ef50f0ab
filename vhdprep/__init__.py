"""Offline preparation and validation of VHD images for Azure."""

from __future__ import annotations

__version__ = "0.1.0"
