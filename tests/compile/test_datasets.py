"""Archives are streamed, and whatever is wrong with one is named."""

from __future__ import annotations

import re
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from yardarm import datasets
from yardarm.artifacts import Layout
from yardarm.datasets import Tensor
from yardarm.errors import InvalidInput

TWO = Tensor("x", np.dtype(np.float32), (None, 2))

arrays = hnp.arrays(
    st.sampled_from([np.float32, np.int64, np.uint8, np.bool_, np.float16]),
    hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=7).filter(lambda s: s[0] > 0),
    elements={"allow_nan": False, "allow_infinity": False},
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(array=arrays, size=st.integers(1, 9), deflated=st.booleans())
def test_batches_joined_are_the_array(
    array: np.ndarray, size: int, deflated: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("npz") / "data.npz"
    (np.savez_compressed if deflated else np.savez)(file, x=array)
    dataset = datasets.open_dataset(file)
    batches = [batch["x"] for batch in dataset.batches(size)]
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    joined = np.concatenate(batches)
    assert joined.dtype == array.dtype
    np.testing.assert_array_equal(joined, array)
    np.testing.assert_array_equal(dataset.read("x"), array)


LARGE = """
def samples():
    return ({"x": np.zeros(4096, np.float32)} for _ in range(4096))
"""


@pytest.mark.parametrize(
    "make",
    [
        lambda d: saved(d, x=np.zeros((4096, 4096), np.float32)),  # 64 MB
        lambda d: squeezed(d, x=np.zeros((4096, 4096), np.float32)),
        lambda d: folder(d, x=np.zeros((4096, 4096), np.float32)),
        lambda d: function(d, LARGE),
    ],
    ids=["stored", "deflated", "folder", "function"],
)
def test_memory_stays_within_a_batch(make: Callable[[Path], Path], tmp_path: Path) -> None:
    file = make(tmp_path)
    tracemalloc.start()
    dataset = datasets.open_dataset(file)
    assert sum(len(batch["x"]) for batch in dataset.batches(64)) == 4096
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def saved(folder: Path, **members: np.ndarray) -> Path:
    np.savez(folder / "data.npz", **members)
    return folder / "data.npz"


def squeezed(folder: Path, **members: np.ndarray) -> Path:
    np.savez_compressed(folder / "data.npz", **members)
    return folder / "data.npz"


def text(file: Path) -> Path:
    file.write_text("x")
    return file


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[:200])
    return file


def flipped(file: Path) -> Path:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    file.write_bytes(bytes(data))
    return file


def short_member(file: Path) -> Path:
    with zipfile.ZipFile(file) as archive:
        data = archive.read("x.npy")
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", data[:-4])
    return file


def floats(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.npz", "there is no such data file"),
        (lambda d: text(d / "data.npz"), "not a readable npz"),
        (lambda d: cut(saved(d, x=floats(99, 9))), "not a readable npz"),
        (lambda d: short_member(saved(d, x=floats(4, 2))), "too few"),
        (saved, "no array"),
        (lambda d: saved(d, x=floats(0, 2)), "no samples"),
        (lambda d: saved(d, x=floats(3, 2), y=floats(4)), "differ in their number"),
        (lambda d: saved(d, x=np.array(3.0)), "without a sample axis"),
        (lambda d: saved(d, x=np.array([{}], dtype=object)), "Python objects"),
        (lambda d: saved(d, x=np.asfortranarray(floats(3, 2))), "Fortran"),
    ],
)
def test_opening_names_what_is_wrong(make: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        datasets.open_dataset(make(tmp_path))
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"y": floats(3, 2)}, r"input 'x' has no array \(found: y\)"),
        ({"x": np.ones((3, 2))}, "expected float32, found float64"),
        ({"x": floats(3, 4)}, r"expected shape \[samples, 2\], found \[3, 4\]"),
        ({"x": floats(3)}, r"expected shape \[samples, 2\], found \[3\]"),
    ],
)
def test_arrays_must_fit_the_model(
    arrays: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=message):
        datasets.check_inputs(datasets.open_dataset(saved(tmp_path, **arrays)), [TWO])


def test_fitting_arrays_and_labels_pass(tmp_path: Path) -> None:
    dataset = datasets.open_dataset(saved(tmp_path, x=floats(3, 2), label=np.arange(3)))
    datasets.check_inputs(dataset, [TWO])
    datasets.check_labels(dataset, "label")
    with pytest.raises(InvalidInput, match="'truth' with the labels"):
        datasets.check_labels(dataset, "truth")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_is_found(bad: float, tmp_path: Path) -> None:
    array = floats(10, 2, 2)
    array[7, 0, 1] = bad
    dataset = datasets.open_dataset(saved(tmp_path, x=array))
    with pytest.raises(InvalidInput, match="sample 7 has NaN or infinite"):
        list(dataset.batches(4))


def test_damage_within_an_array_is_found_while_reading(tmp_path: Path) -> None:
    dataset = datasets.open_dataset(flipped(saved(tmp_path, x=floats(500, 9))))
    with pytest.raises(InvalidInput, match="not a readable npz"):
        list(dataset.batches(64))


def folder(parent: Path, **members: np.ndarray) -> Path:
    made = parent / "data"
    for name, array in members.items():
        file = made / f"{name}.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, array)
    return made


def function(parent: Path, body: str) -> Path:
    (parent / "feeding.py").write_text(f"import numpy as np\nimport itertools\n{body}")
    return parent / "feeding:samples"


RAMP = np.arange(20, dtype=np.float32).reshape(10, 2)
FEEDING = """
def samples():
    for number in range(10):
        yield {"x": np.float32([2 * number, 2 * number + 1]), "label": number % 3}
"""


@pytest.mark.parametrize(
    "make",
    [
        lambda d: saved(d, x=RAMP, label=np.arange(10) % 3),
        lambda d: folder(d, x=RAMP, label=np.arange(10) % 3),
        lambda d: function(d, FEEDING),
    ],
    ids=["npz", "folder", "function"],
)
@pytest.mark.parametrize("size", [1, 4, 10, 11])
def test_all_sources_give_the_same_batches(
    make: Callable[[Path], Path], size: int, tmp_path: Path
) -> None:
    dataset = datasets.open_dataset(make(tmp_path))
    datasets.check_inputs(dataset, [TWO])
    datasets.check_groups(dataset, "label")
    assert (dataset.samples, set(dataset.names)) == (10, {"x", "label"})
    for _ in range(2):
        parts = list(dataset.batches(size, ["x"]))
        assert [len(part["x"]) for part in parts[:-1]] == [size] * (len(parts) - 1)
        np.testing.assert_array_equal(np.concatenate([part["x"] for part in parts]), RAMP)
    assert dataset.read("label").tolist() == [number % 3 for number in range(10)]
    assert dataset.read("x").dtype == np.float32


@pytest.mark.parametrize("make", [saved, folder], ids=["npz", "folder"])
def test_content_has_a_digest(make: Callable[..., Path], tmp_path: Path) -> None:
    first = datasets.open_dataset(make(tmp_path, x=RAMP)).digest()
    assert datasets.open_dataset(make(tmp_path, x=RAMP)).digest() == first
    assert datasets.open_dataset(make(tmp_path, x=RAMP + 1)).digest() != first


def test_a_functions_digest_is_that_of_its_samples(tmp_path: Path) -> None:
    first = datasets.open_dataset(function(tmp_path, FEEDING)).digest()
    again = FEEDING.replace("number in range(10)", "number in list(range(10))")
    assert datasets.open_dataset(function(tmp_path, again)).digest() == first
    other = FEEDING.replace("range(10)", "range(9)")
    assert datasets.open_dataset(function(tmp_path, other)).digest() != first


def test_names_that_files_cannot_have_are_written_as_in_a_url(tmp_path: Path) -> None:
    held = {"plain": 1, "encoder/state": 2, "x%3A0": 3, "%2Ffirst": 4, "100%25": 5, ".hidden": 6}
    made = folder(tmp_path, **{name: np.full((2, 1), value) for name, value in held.items()})
    (made / "notes.txt").write_text("no array")
    dataset = datasets.open_dataset(made)
    assert {name: dataset.read(name)[0, 0] for name in dataset.names} == {
        "plain": 1,
        "encoder/state": 2,
        "x:0": 3,
        "/first": 4,
        "100%": 5,
    }


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: (d / "data").mkdir() or d / "data", "no array"),
        (lambda d: text(folder(d, x=RAMP) / "y.npy").parent, "not a readable .npy file"),
        (lambda d: cut(folder(d, x=np.ones((99, 9))) / "x.npy").parent, "too few"),
        (lambda d: folder(d, **{"a/b": RAMP, "a%2Fb": RAMP}), "both hold the array 'a/b'"),
        (lambda d: folder(d, x=np.array([{}], dtype=object)), "Python objects"),
        (lambda d: folder(d, x=np.asfortranarray(floats(3, 2))), "Fortran"),
        (lambda d: folder(d, x=np.zeros(3, [("a", "f4")])), "records"),
        (lambda d: folder(d, x=RAMP, y=floats(4)), "differ in their number of samples: x 10, y 4"),
        (lambda d: folder(d, x=floats(0, 2)), "no samples"),
    ],
)
def test_a_folder_names_what_is_wrong(
    make: Callable[[Path], Path], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        datasets.open_dataset(make(tmp_path))
    assert str(tmp_path) in caught.value.where


def test_a_file_that_was_cut_meanwhile_is_found(tmp_path: Path) -> None:
    dataset = datasets.open_dataset(folder(tmp_path, x=floats(500, 9)))
    cut(tmp_path / "data" / "x.npy")
    with pytest.raises(InvalidInput, match="not a readable folder"):
        list(dataset.batches(64))


YIELDING = "def samples():\n    yield "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("samples = 3", "feeding:samples is no function"),
        ("def sample():\n    return []", "feeding has no 'samples'"),
        ("def samples():\n    return 3", "it returned int, not an iterable of samples"),
        ("def samples():\n    return {'x': 3}", "it returned dict, not an iterable"),
        ("def samples():\n    return []", "it has no samples"),
        ("def samples(path):\n    return []", "it raised TypeError: .* missing 1 required"),
        (
            YIELDING + "{'x': 1}\n    raise OSError('no disk')",
            "OSError: no disk .* after 1 samples",
        ),
        (YIELDING + "{'x': 1}\n    raise SystemExit(3)", "it raised SystemExit: 3 .* after 1"),
        (YIELDING + "np.ones(3)", "sample 0 is ndarray, not a dict"),
        (YIELDING + "None", "sample 0 is NoneType, not a dict"),
        (YIELDING + "{3: 1.0}", "sample 0 is dict, not a dict of arrays by name"),
        (YIELDING + "{'x': [[1], [1, 2]]}", "sample 0 is no dict of arrays: .*inhomogeneous"),
        (YIELDING + "{'x': object()}", "sample 0 holds Python objects"),
        (YIELDING + "{'x': 1}\n    yield {'y': 1}", "sample 1 has the arrays y, those before it x"),
        (YIELDING + "{'x': 1}\n    yield {'x': 1.5}", "sample 1 is float64 .* before it int64"),
        (YIELDING + "{'x': [1]}\n    yield {'x': 1}", "sample 1 is int64 with 0 axes, .* with 1"),
        (
            "def samples():\n    return ({'x': n} for n in itertools.count())",
            "more than 50 samples",
        ),
    ],
)
def test_a_function_that_does_not_feed_says_why(
    body: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.function, "LIMIT", 50)
    with pytest.raises(InvalidInput, match=message) as caught:
        datasets.open_dataset(function(tmp_path, body))
    assert "feeding" in caught.value.where


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("value + (CALLS > 1) * (value == 3)", "sample 3 is another one than in the pass before"),
        ("value, CALLS == 1 or value < 4", "it ended after 4 samples instead of 6"),
        ("value, CALLS > 1 or value < 4", "sample 4 is another one"),
    ],
)
def test_passes_that_differ_are_an_error(change: str, message: str, tmp_path: Path) -> None:
    body = f"""
CALLS = 0

def samples():
    global CALLS
    CALLS += 1
    for value in range(6):
        found = {change}
        value, kept = found if isinstance(found, tuple) else (found, True)
        if kept:
            yield {{"x": np.array([value]), "y": 0}}
"""
    dataset = datasets.open_dataset(function(tmp_path, body))
    with pytest.raises(InvalidInput, match=message) as caught:
        list(dataset.batches(4, ["x"]))
    assert "seed" in caught.value.hint


RAGGED = """
LENGTHS = [3, 1, 5, 5]
buffer = np.empty((2, 5), np.float32)

def samples():
    for number, length in enumerate(LENGTHS):
        part = buffer[:, :length]
        part[:] = number
        yield {"x": part, "h": np.ones(4), "label": np.arange(length), "who": "ab"[: number % 3]}
"""


def test_samples_may_differ_in_length(tmp_path: Path) -> None:
    file = function(tmp_path, RAGGED)
    layout = Layout(batch=0, constant=frozenset({"h"}))
    dataset = datasets.open_dataset(file, layout)
    assert dataset.members["x"].shape == (4, 2, None)
    assert dataset.members["h"].shape == (4,)
    free = Tensor("x", np.dtype(np.float32), (2, None))
    state = Tensor("h", np.dtype(np.float64), (4,))
    datasets.check_inputs(dataset, [free, state])
    datasets.check_groups(dataset, "who")
    assert [batch["x"].shape for batch in dataset.batches(1)] == [
        (1, 2, 3),
        (1, 2, 1),
        (1, 2, 5),
        (1, 2, 5),
    ]
    first, second = dataset.batches(2)
    assert first["x"].dtype == object
    assert [sample.shape for sample in first["x"]] == [(2, 3), (2, 1)]
    assert second["x"].shape == (2, 2, 5)
    assert [sample[0, 0] for sample in dataset.read("x")] == [0, 1, 2, 3]
    assert first["h"].shape == (4,)
    assert dataset.read("who").tolist() == ["", "a", "ab", ""]
    with pytest.raises(
        InvalidInput, match=r"expected shape \[samples, 2, 5\], found \[4, 2, any\]"
    ):
        datasets.check_inputs(dataset, [Tensor("x", np.dtype(np.float32), (2, 5))])
    padded = datasets.open_dataset(file, Layout(batch=4, constant=frozenset({"h"})))
    with pytest.raises(
        InvalidInput, match=r"samples differ in shape, found \[4, 2, any\]"
    ) as caught:
        datasets.check_inputs(padded, [Tensor("x", np.dtype(np.float32), (None, 2, None))])
    assert "batch = 0" in caught.value.hint


def test_the_function_in_the_documentation_feeds(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "project-file.md").read_text()
    (found,) = re.findall(r"```python\n(# feeding.py.*?)```", page, re.DOTALL)
    (tmp_path / "feeding.py").write_text(found)
    dataset = datasets.open_dataset(tmp_path / "feeding:evaluation", Layout(batch=0))
    datasets.check_groups(dataset, "person")
    datasets.check_inputs(dataset, [Tensor("frames", np.dtype(np.float32), (None, 40))])
    assert len({sample["frames"].shape for sample in dataset.batches(1, ["frames"])}) > 10


def test_a_constant_that_changes_is_found(tmp_path: Path) -> None:
    body = "def samples():\n    return [{'x': n, 'h': n // 2} for n in range(4)]"
    with pytest.raises(InvalidInput, match="it is constant, but sample 2 differs"):
        datasets.open_dataset(function(tmp_path, body), Layout(constant=frozenset({"h"})))


def test_nan_in_ragged_samples_and_constants_is_found(tmp_path: Path) -> None:
    body = "def samples():\n    return [{'x': np.ones(n) / (n != 3)} for n in (1, 2, 3)]"
    made = function(tmp_path, f"np.seterr(all='ignore')\n{body}")
    with pytest.raises(InvalidInput, match="sample 2 has NaN or infinite"):
        list(datasets.open_dataset(made).batches(2))
    file = saved(tmp_path, x=RAMP, h=np.array([1.0, np.nan]))
    with pytest.raises(InvalidInput, match="it has NaN or infinite"):
        list(datasets.open_dataset(file, Layout(constant=frozenset({"h"}))).batches(2))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"person": np.ones((10, 2), int)}, r"found int64 of shape \[10, 2\]"),
        ({"person": np.ones(10)}, "groups are one integer or text a sample, found float64"),
        ({"who": np.arange(10)}, "no array 'person' with the groups"),
    ],
)
def test_groups_are_one_name_a_sample(
    groups: dict[str, np.ndarray], message: str, tmp_path: Path
) -> None:
    dataset = datasets.open_dataset(saved(tmp_path, x=RAMP, **groups))
    with pytest.raises(InvalidInput, match=message):
        datasets.check_groups(dataset, "person")
