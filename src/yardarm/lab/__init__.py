"""Virtual ARM devices on this machine: arm64 systems under qemu-user, each in a network of its
own with a real OpenSSH server."""

from yardarm.lab.device import LabDevice, address, devices, down, up

__all__ = ["LabDevice", "address", "devices", "down", "up"]
