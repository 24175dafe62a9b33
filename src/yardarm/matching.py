"""Which device profile a live device has, decided from its facts alone."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

from yardarm.artifacts import Facts
from yardarm.errors import Refused
from yardarm.profiles import Profile, Release

GIB_MB = 1024**3 / 1e6
"""MB in what is sold as one GB of memory."""

END_OF_LIFE = "32."
"""L4T releases of JetPack 4."""


def match(facts: Facts, profiles: Sequence[Profile], host: str = "") -> Profile:
    """The profile of a device.

    Boards of one model string are told apart by their memory: Linux shows a little less than
    what is sold, so that the smallest size that holds it is the board's.

    Args:
        host: what the user calls the device, for errors.

    Raises:
        Refused: 32-bit userland, not aarch64, JetPack 4, or no profile fits.
    """
    _refuse_unfit(facts, host)
    if facts.lab_profile:
        played = [profile for profile in profiles if profile.name == facts.lab_profile]
        if played:
            return played[0]
    fitting = [p for p in profiles if any(text in facts.model for text in p.match)]
    if not fitting:
        raise _unknown(facts, profiles, host)
    if len(fitting) == 1:
        return fitting[0]
    return min(fitting, key=lambda profile: _room(profile, facts.memory_mb))


def suits(facts: Facts, chosen: Profile, lineage: Sequence[str], matched: Sequence[str]) -> bool:
    """Whether a device can be worked on by a profile that the user named.

    Args:
        lineage: what a project's own profile extends; empty for a shipped one, which has to
            be the very one that the device was matched to.
        matched: names of the profiles that the device was matched to.
    """
    own = bool(lineage)
    return (
        chosen.name in matched
        or any(name in matched for name in lineage)
        or (own and any(text in facts.model for text in chosen.match))
    )


def release(facts: Facts, profile: Profile) -> Release | None:
    """The JetPack that runs on a device; None where the profile doesn't know its L4T."""
    minor = ".".join(facts.jetpack.split(".")[:2])
    return next((found for found in profile.releases if minor in found.l4t), None)


def nearest(facts: Facts, profile: Profile) -> Release | None:
    """The JetPack whose L4T is closest to a device's, for a device whose own is not known."""
    at = _place(facts.jetpack)
    known = [(abs(_place(l4t) - at), found) for found in profile.releases for l4t in found.l4t]
    return min(known, key=lambda pair: pair[0])[1] if at and known else None


def _place(l4t: str) -> int:
    """Major and minor of an L4T release as one number, 0 without one."""
    major, minor, *_ = [int(part) for part in re.findall(r"\d+", l4t)] + [0, 0]
    return major * 1000 + minor


def _refuse_unfit(facts: Facts, host: str) -> None:
    if facts.userland_bits == 32:
        raise Refused(
            f"{facts.model or 'the device'} runs a 32-bit userland ({facts.os or facts.machine})",
            where=host,
            hint="install a 64-bit system, such as the 64-bit Raspberry Pi OS: there are no "
            "32-bit builds of the runtime",
        )
    if facts.machine not in ("aarch64", "arm64"):
        raise Refused(
            f"the device is no 64-bit ARM machine: it says {facts.machine or 'nothing'}",
            where=host,
            hint="name a Raspberry Pi, a Jetson or a lab device",
        )
    if facts.jetpack.startswith(END_OF_LIFE):
        raise Refused(
            f"{facts.model} runs JetPack 4 (L4T {facts.jetpack}), which is end of life "
            "and has Python 3.6",
            where=host,
            hint="install JetPack 5 or newer; Jetson Nano and TX2 have none",
        )


def _room(profile: Profile, memory_mb: int) -> tuple[bool, float]:
    """Sorts by the smallest size that holds the memory; profiles that can't hold it come last."""
    holding = [size for size in profile.memory.sizes_gb if size * GIB_MB >= memory_mb]
    return (not holding, min(holding, default=-max(profile.memory.sizes_gb)))


def _unknown(facts: Facts, profiles: Sequence[Profile], host: str) -> Refused:
    strings = {text: profile.name for profile in profiles for text in profile.match}
    near = difflib.get_close_matches(facts.model, list(strings), n=3, cutoff=0.5)
    names = list(dict.fromkeys(strings[text] for text in near))
    seen = f"model {facts.model!r}, CPU part {facts.cpu_part or '?'}, {facts.memory_mb} MB"
    nearest = f"nearest: {', '.join(names)}; " if names else ""
    return Refused(
        f"no device profile knows this device: {seen}",
        where=host,
        hint=f"{nearest}write one of your own under device_profiles/, beside yardarm.toml",
    )
