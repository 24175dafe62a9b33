"""Engines found, built and kept by key, with everything in this process."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trt import fakes
from yardarm_runtime import building, golden, probe
from yardarm_runtime.cuda import cudart
from yardarm_runtime.engines import Place, open_engine
from yardarm_runtime.problems import Problem
from yardarm_runtime.tensorrt import cache, child, memory
from yardarm_wire import engines
from yardarm_wire.engines import Key, Record
from yardarm_wire.files import FILES

NOTHING = {"device": 0, "host": 0, "streams": 0, "events": 0, "pageable": 0}

pytestmark = pytest.mark.usefixtures("here")


class Device:
    """One device with its engines; what it is told is kept."""

    def __init__(self, bundle: Path, root: Path, file: Path) -> None:
        self.bundle, self.root = bundle, root
        self.place = Place(str(root), str(file))
        self.told: list[str] = []

    def tell(self, phase: str, _done: int, _total: int) -> None:
        self.told.append(phase)

    def build(self, force: bool = False) -> dict[str, Any]:
        return building.build(str(self.bundle), self.place, self.tell, force)

    def key(self) -> dict[str, Any]:
        return building.key(str(self.bundle), self.place)

    def folder(self) -> Path:
        return Path(engines.folder(str(self.root), Key.from_json(self.key()["key"])))

    def kept(self) -> set[str]:
        return {path.name for path in self.root.iterdir() if path.name != ".lock"}


@pytest.fixture
def orin(make_bundle: Callable[..., Path], device: Callable[..., Path], tmp_path: Path) -> Device:
    return Device(make_bundle(), tmp_path / "engines", device())


def deserialised(trt: Any) -> int:
    return fakes.calls(trt).count("Runtime.deserialize_cuda_engine")


def builds(trt: Any) -> int:
    return fakes.calls(trt).count("Builder.build_serialized_network")


def test_an_engine_is_built_once_and_found_by_its_key(orin: Device, here: Any) -> None:
    assert orin.key()["present"] is False
    first, second = orin.build(), orin.build()
    assert (first["cached"], second["cached"], builds(here)) == (False, True, 1)
    assert first["engine"] == second["engine"] and first["built_s"] == second["built_s"] >= 0
    assert orin.key() == {"key": first["engine"]["key"], "present": True}
    assert first["engine"]["key"] == {
        "model": engines.of_file(str(orin.bundle / "model.onnx")),
        "tensorrt": here.__version__,
        "sm": 87,
        "module": "NVIDIA Jetson Orin NX",
        "power_mode": "15W",
        "options": engines.of_bytes(
            engines.canonical(json.loads((orin.bundle / "manifest.json").read_text())["tensorrt"])
        ),
    }
    assert {path.name for path in orin.folder().iterdir()} == {
        "engine.plan", "engine.json", "build.json",
    }  # fmt: skip
    record = Record.parse((orin.folder() / "engine.json").read_bytes())
    assert record.engine == engines.of_file(str(orin.folder() / "engine.plan"))
    assert f"timing-{here.__version__}-87.cache" in orin.kept()


def test_force_builds_it_again(orin: Device, here: Any) -> None:
    orin.build()
    assert orin.build(force=True)["cached"] is False and builds(here) == 2


@pytest.fixture
def change(
    orin: Device, here: Any, device: Any, make_bundle: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], None]:
    """Change one part of what the key is made of."""
    model = orin.bundle / "model.onnx"
    changes: dict[str, Callable[[], Any]] = {
        "power_mode": lambda: device(power_mode="MAXN"),
        "module": lambda: device(module="NVIDIA Jetson Orin Nano"),
        "sm": lambda: monkeypatch.setenv("FAKE_SM", "72"),
        "tensorrt": lambda: monkeypatch.setattr(here, "__version__", "10.4.0"),
        "options": lambda: make_bundle(workspace_mb=65),
        "model": lambda: model.write_bytes(model.read_bytes() + b"\x1a\x00"),  # an empty field
    }
    return lambda part: changes[part]()


@pytest.mark.parametrize("part", ["power_mode", "module", "sm", "tensorrt", "options", "model"])
def test_any_other_part_of_the_key_is_another_engine(
    orin: Device, change: Callable[[str], None], part: str
) -> None:
    orin.build()
    old = orin.folder()
    change(part)
    assert orin.key()["present"] is False
    assert orin.build()["cached"] is False and orin.key()["present"] is True
    assert old.exists(), "a release that runs, or ran before, may need it"
    reason = {"power_mode": "power mode: built in 15W, this device is in MAXN", "sm": "SM 87"}
    assert any(reason.get(part, "something else") in line for line in orin.told) == (
        part != "model"
    )


def test_an_engine_of_another_key_never_reaches_tensorrt(
    orin: Device, here: Any, device: Any
) -> None:
    """It may lie there under the right name, copied from another device."""
    orin.build()
    copied = orin.root.parent / "copied"
    shutil.copytree(orin.folder(), copied)
    device(power_mode="MAXN")
    shutil.copytree(copied, orin.folder())
    before = deserialised(here)
    with pytest.raises(cache.Unfit, match="power mode: built in 15W, this device is in MAXN"):
        cache.Cache(str(orin.root)).read(Key.from_json(orin.key()["key"]))
    assert deserialised(here) == before and orin.key()["present"] is False
    assert orin.build()["cached"] is False
    assert any("power mode" in line and "built anew" in line for line in orin.told)


@pytest.mark.parametrize("damage", ["a bit", "shorter", "longer", "no plan", "no record", "record"])
def test_a_damaged_engine_never_reaches_tensorrt(orin: Device, here: Any, damage: str) -> None:
    orin.build()
    plan, record = orin.folder() / "engine.plan", orin.folder() / "engine.json"
    data = bytearray(plan.read_bytes())
    if damage == "a bit":
        data[len(data) // 2] ^= 1
    if damage in ("no plan", "no record"):
        {"no plan": plan, "no record": record}[damage].unlink()
    elif damage == "record":
        record.write_bytes(b"{")
    else:
        plan.write_bytes({"shorter": data[:-1], "longer": data + b"x"}.get(damage, data))
    before = deserialised(here)
    with pytest.raises(cache.Unfit):
        cache.Cache(str(orin.root)).read(Key.from_json(orin.key()["key"]))
    assert deserialised(here) == before
    assert orin.build()["cached"] is False and orin.build()["cached"] is True
    assert any("built anew" in line for line in orin.told)


@pytest.mark.parametrize("place", ["engine.plan", "engine.json", "build.json", "rename"])
def test_a_full_disk_leaves_nothing_behind(
    orin: Device, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    write, rename = FILES.write, FILES.rename

    def write_until(path: str, data: bytes, mode: int = 0o644) -> None:
        if path.endswith(place):
            raise full
        write(path, data, mode)

    def rename_until(source: str, target: str) -> None:
        if place == "rename" and source.endswith(".partial"):
            raise full
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(FILES, "write", write_until)
        patch.setattr(FILES, "rename", rename_until)
        with pytest.raises(Problem, match=r"can't be kept in .*No space left"):
            orin.build()
    assert {name for name in orin.kept() if not name.startswith("timing-")} == set()
    assert orin.build()["cached"] is False, "as soon as there is room"


def test_what_a_broken_build_left_is_removed(orin: Device) -> None:
    for name in ("f" * 64 + ".partial", orin.folder().name + ".partial"):
        (orin.root / name).mkdir(parents=True)
        (orin.root / name / "engine.plan").write_bytes(b"half")
    orin.build()
    assert not [name for name in orin.kept() if name.endswith(".partial")]


def test_a_folder_that_can_t_be_written_is_told(orin: Device) -> None:
    device = Device(orin.bundle, Path("/proc/none"), Path(orin.place.device or ""))
    with pytest.raises(Problem, match="/proc/none can't be written to build it"):
        device.build()


def test_who_comes_second_waits_and_finds_it(
    orin: Device, here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "LOOK_S", 0.01)
    inside, waiting = threading.Event(), threading.Event()
    work = child.work

    def slow(request: Any, progress: Any, limit: Any) -> Any:
        inside.set()
        assert waiting.wait(20)
        return work(request, progress, limit)

    monkeypatch.setattr(child, "work", slow)
    other = Device(orin.bundle, orin.root, Path(orin.place.device or ""))
    found: list[Any] = []
    first = threading.Thread(target=lambda: found.append(orin.build()))
    first.start()
    assert inside.wait(20)

    def tell(phase: str, _done: int, _total: int) -> None:
        other.told.append(phase)
        waiting.set()

    second = building.build(str(other.bundle), other.place, tell, False)
    first.join(20)
    assert other.told[0] == cache.WAITING and builds(here) == 1
    assert found[0]["cached"] is False and second["cached"] is True


@pytest.mark.parametrize("fault", ["execution fails", "no execution context"])
def test_an_engine_that_does_not_answer_is_not_kept(
    orin: Device, monkeypatch: pytest.MonkeyPatch, library: fakes.Library, fault: str
) -> None:
    monkeypatch.setenv("FAKE_TENSORRT_FAULT", fault)
    with pytest.raises(Problem, match=r"the new engine doesn't answer: .* It is not kept"):
        orin.build()
    assert not orin.folder().exists() and library.left() == NOTHING


def test_the_engine_answers_in_batches_that_it_takes(
    orin: Device, images: Any, answers: Any, library: fakes.Library
) -> None:
    from yardarm_runtime.engines import in_batches

    engine = open_engine(str(orin.bundle), 1, orin.place, orin.tell)
    assert engine.batch is None and engine.bounds == (1, 4)
    assert abs(in_batches(engine, {"x": images})["y"] - answers).max() < 1e-5
    facts = engine.facts()
    assert facts["route"] == "tensorrt" and facts["power_mode"] == "15W" and not facts["cached"]
    with pytest.raises(Problem, match=r"the engine takes from \[1, 3, 8, 8\] to \[4, 3, 8, 8\]"):
        engine.check({"x": images})
    engine.close()
    assert library.left() == NOTHING


def test_without_a_folder_for_engines_nothing_is_built(orin: Device) -> None:
    with pytest.raises(Problem, match="--engines"):
        open_engine(str(orin.bundle), 1, Place(), orin.tell)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strongly_typed": False, "version": "8.6"}, "compiled for TensorRT 8.6"),
        ({"flags": ["fp8"]}, "fp8"),
        ({"profiles": {"x": {"min": [1], "opt": [2, 3], "max": [4]}}}, "profile of 'x'"),
        ({"profiles": {"x": {"min": [4], "opt": [2], "max": [4]}}}, "profile of 'x'"),
        ({"profiles": {"x": {"min": [4], "opt": [4]}}}, "max"),
        ({"workspace_mb": 0}, "workspace"),
        ({"optimization_level": 6}, "level"),
        ({"float32": [1]}, "names are strings"),
        ({"workspace_mb": "much"}, "tensorrt can't be read"),
    ],
)
def test_a_manifest_that_asks_for_nonsense_is_told(
    orin: Device, make_bundle: Any, changes: Any, message: str
) -> None:
    make_bundle(**changes)
    with pytest.raises(Problem, match=message):
        orin.key()


@pytest.mark.parametrize("free", [100, 4000])
def test_a_build_takes_no_more_memory_than_there_is(
    orin: Device, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    size = memory.HEADROOM + memory.MIB * free // 2
    monkeypatch.setattr(memory, "available", lambda: size)
    built = orin.build()
    lowered = [note for note in built["notes"] if note.startswith("the memory pool is 49 MiB")]
    assert bool(lowered) == (free == 100) and set(built["notes"]) <= set(orin.told)


def test_a_board_without_memory_is_told_before_the_build(
    orin: Device, here: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available", lambda: memory.HEADROOM)
    with pytest.raises(Problem, match="Close what can be closed"):
        orin.build()
    assert builds(here) == 0


def test_a_gpu_of_its_own_counts_its_own_memory(
    orin: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cudart.Cudart, "integrated", lambda _self: False)
    monkeypatch.setattr(cudart.Cudart, "memory", lambda _self: (memory.HEADROOM, memory.HEADROOM))
    with pytest.raises(Problem, match="needs about 528 MiB of free memory, there are 512"):
        orin.build()


@pytest.mark.parametrize("here", ["8.4", "8.6"], indirect=True)
def test_eight_answers_its_golden_inputs(
    orin: Device, make_bundle: Callable[..., Path], library: fakes.Library
) -> None:
    make_bundle(strongly_typed=False, flags=["fp16"])
    engine = open_engine(str(orin.bundle), 1, orin.place, orin.tell)
    assert golden.check(engine, str(orin.bundle))["ok"]
    engine.close()
    assert library.left() == NOTHING


def test_a_probe_of_an_engine_tells_no_operators(orin: Device, images: Any, tmp_path: Path) -> None:
    body = {"schema": "yardarm.plan/1", "scenario": "single-stream", "iterations": 5, "warmup": 1}
    body |= {"threads": 1, "batch": 1, "inputs": ["x"], "operators": 3}
    (tmp_path / "plan.json").write_text(json.dumps(body))
    np.savez(tmp_path / "data.npz", x=images)
    files = [str(tmp_path / name) for name in ("plan.json", "data.npz", "out")]
    probe.run(str(orin.bundle), *files, lambda *_: None, place=orin.place)
    written = {path.name for path in (tmp_path / "out").iterdir()}
    assert written == {"samples.npy", "device_times.npy"}


def test_a_bundle_for_onnxruntime_needs_no_engine(orin: Device, here: Any) -> None:
    (orin.bundle / "manifest.json").write_text('{"target": "onnxruntime"}')
    assert orin.key() == {"key": None, "present": False}
    with pytest.raises(Problem, match="needs no engine"):
        orin.build()
    assert open_engine(str(orin.bundle), 1, orin.place, orin.tell).facts()["route"] == "onnxruntime"
    assert fakes.calls(here) == []
