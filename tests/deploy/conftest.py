"""The device and the release that all tests of the room share."""

from deploy_rig import first, rig
from lab_fixtures import lab_folder

__all__ = ["first", "lab_folder", "rig"]
