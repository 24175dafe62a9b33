"""What an image lies on: Debian packages that are unpacked here, or an image that somebody made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from yardarm.errors import Unsupported
from yardarm.image import account, base, jetson, packages, tree
from yardarm.image.layer import Layer
from yardarm.image.making import Maker
from yardarm.image.spec import Spec
from yardarm.image.tree import Tree
from yardarm.lockfile import Lock
from yardarm.profiles import Profile, release_for

if TYPE_CHECKING:
    from yardarm.image.foreign import Foreign

_DEBIAN = "/usr/bin/python3"
_OLDEST = 8
"""Minor version of Python 3 that the runtime needs."""


@dataclass(frozen=True)
class Foundation:
    """The layers below the wheels, and what those above have to know.

    Attributes:
        profile: the device class, with the Python and the C library of the base.
        python: path of python3 in the image.
        user: user and group that the image runs as.
        config: of a foreign base, {} for Debian's packages.
        environment: variables besides those of every image.
    """

    layers: tuple[Layer, ...]
    lock: Lock
    profile: Profile
    python: str = _DEBIAN
    user: str = account.user("onnxruntime")
    config: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


def lay(spec: Spec, profile: Profile, maker: Maker, lock: Lock) -> Foundation:
    """Take or make the base, and put the Debian packages on it.

    Raises:
        InvalidInput: no such base; another one than the lock has; one that would do harm.
        Unsupported: a base for another architecture, without python3, or with one that the
            device class doesn't go with; a device class that needs a base and has none.
        VerificationFailed, Unreachable: of a registry's base.
    """
    if spec.base is None:
        return _debian(spec, profile, maker, lock)
    from yardarm.image import foreign  # with the registries' HTTP, which few images need

    found = foreign.load(spec, maker, lock)
    _expect_python(found)
    layers = [*found.layers, _system(spec, found.tree, maker, foreign=True)]
    known = lock.with_base(spec.base, found.digest)
    laid = Foundation(tuple(layers), known, _fitted(profile, found.tree), found.tree.python)
    laid = replace(laid, config=found.config, user=account.user(profile.runtime.target))
    return _jetson(laid, spec, found) if profile.runtime.target == "tensorrt" else laid


def _debian(spec: Spec, profile: Profile, maker: Maker, lock: Lock) -> Foundation:
    if profile.runtime.target == "tensorrt":
        raise _needs_a_base(spec, profile)
    bottom = maker.layer(
        "base",
        base.key(profile.os, spec.keep),
        lambda: base.make(profile.os, maker.store, maker.sink, spec.keep),
    )
    layers = [bottom]
    if spec.packages:
        on = tree.read([bottom.blob], maker.store, name="base")
        layers.append(_system(spec, on, maker, foreign=False, suite=profile.os.suite))
    return Foundation(tuple(layers), lock, profile)


def _system(spec: Spec, on: Tree, maker: Maker, *, foreign: bool, suite: str = "") -> Layer:
    suite = suite or _suite(spec, on)
    return maker.layer(
        "system",
        packages.key(spec.packages, suite, on, spec.keep, foreign=foreign),
        lambda: packages.make(
            spec.packages,
            suite,
            on,
            maker.store,
            foreign=foreign,
            keep=spec.keep,
            sink=maker.sink,
        ),
    )


def _suite(spec: Spec, on: Tree) -> str:
    name = on.release.get("ID", "")
    if spec.packages and name != "debian":
        raise Unsupported(
            f"Debian packages go on Debian's bases, and this is {name or 'an unknown system'}",
            where="[image] packages",
            hint="take a base that has them",
        )
    return on.release.get("VERSION_CODENAME", "")


def _expect_python(found: Foreign) -> None:
    if found.tree.musl:
        raise Unsupported(
            "the base's C library is musl, which onnxruntime has no wheels for",
            where=found.name,
            hint="take one with glibc, such as Debian's or Ubuntu's",
        )
    version = found.tree.version
    if not version or int(version.partition(".")[2]) < _OLDEST:
        has = f"Python {version}" if version else "no python3"
        raise Unsupported(
            f"the base has {has}",
            where=found.name,
            hint=f"take one that has Python 3.{_OLDEST} or newer",
        )


def _fitted(profile: Profile, on: Tree) -> Profile:
    """Wheels are chosen for the base's own Python and C library."""
    own = {"python": on.version, "glibc": on.glibc or profile.os.glibc}
    return profile.model_copy(update={"os": profile.os.model_copy(update=own)})


def _jetson(laid: Foundation, spec: Spec, found: Foreign) -> Foundation:
    wanted = jetson.base(release_for(laid.profile, spec.jetpack))
    if found.tree.version != wanted.python:
        raise Unsupported(
            f"the base has Python {found.tree.version}, and this JetPack's is {wanted.python}",
            where=found.name,
            hint=f"the one to take is {wanted.name}",
        )
    told = list(_missing(found, wanted))
    top = replace(laid.layers[-1], warnings=(*laid.layers[-1].warnings, *told))
    access = jetson.ACCESS[jetson.DOCKER].environment
    return replace(laid, layers=(*laid.layers[:-1], top), environment=access)


def _missing(found: Foreign, wanted: jetson.Base) -> Iterator[str]:
    if not found.tree.tensorrt:
        yield (
            f"{found.name}: Python finds no module tensorrt in the base; "
            f"{wanted.name} would bring TensorRT {wanted.brings['tensorrt']}"
        )


def _needs_a_base(spec: Spec, profile: Profile) -> Unsupported:
    """Says which base it is, what comes from there, and which recipe does the same."""
    found = jetson.base(release_for(profile, spec.jetpack))
    brought = ", ".join(f"{name} {version}" for name, version in found.brings.items())
    return Unsupported(
        f"an image with {profile.runtime.target} needs its maker's base",
        where=profile.name,
        hint=f'set [image] base = "REGISTRY/{found.name}", which brings {brought}; or build it '
        f"with docker/{found.recipe} (docker/README.md)",
    )
