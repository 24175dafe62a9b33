"""Scores and intervals, against published figures and against their own definitions."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from yardarm import metrics
from yardarm.errors import InvalidInput
from yardarm.metrics import builtin, resampling
from yardarm.project import MetricSection

pairs = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60)


def split(found: list[tuple[bool, bool]]) -> tuple[np.ndarray, np.ndarray]:
    table = np.asarray(found, dtype=np.float64)
    return table[:, 0].copy(), table[:, 1].copy()


def counted(both: int, lost: int, won: int, neither: int) -> tuple[np.ndarray, np.ndarray]:
    return split(
        [(True, True)] * both
        + [(True, False)] * lost
        + [(False, True)] * won
        + [(False, False)] * neither
    )


def test_top1_scores_each_sample() -> None:
    outputs = {"aux": np.zeros((3, 9)), "y": np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]])}
    labels = np.array([1, 1, 1])
    assert metrics.scores("top1", outputs, labels, "y").tolist() == [1.0, 0.0, 1.0]
    assert metrics.scores("top1", outputs, np.zeros(3, int), None).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("metric", "labels", "output", "message"),
    [
        ("cosine", np.zeros(3, int), "y", "of one shape"),
        ("top1", np.zeros(3, int), "z", "no output 'z'"),
        ("top1", np.zeros(4, int), "y", "one label a sample"),
        ("top1", np.zeros(3), "y", "labels are integers"),
    ],
)
def test_what_cannot_be_scored_is_said(
    metric: str, labels: np.ndarray, output: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        metrics.scores(metric, {"y": np.zeros((3, 2))}, labels, output)


def test_wilson_matches_published_figures() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 857-872, table I.
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert metrics.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert metrics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert metrics.wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


@given(pairs)
def test_estimate_holds_its_value_within_a_share(found: list[tuple[bool, bool]]) -> None:
    scores, _ = split(found)
    got = metrics.estimate(scores)
    assert 0 <= got.low <= got.value <= got.high <= 1
    assert got.samples == len(scores)


@given(pairs)
def test_drop_is_antisymmetric_and_bounded(found: list[tuple[bool, bool]]) -> None:
    before, after = split(found)
    forth, back = metrics.paired_drop(before, after), metrics.paired_drop(after, before)
    assert forth.value == pytest.approx(before.mean() - after.mean())
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))
    assert -1 <= forth.low <= forth.value <= forth.high <= 1


def test_drop_matches_published_figures() -> None:
    # R. G. Newcombe, Statistics in Medicine 17 (1998) 2635-2650, table III, method 10.
    first = metrics.paired_drop(*counted(36, 12, 2, 0))
    assert (first.low, first.high) == pytest.approx((0.0569, 0.3404), abs=1e-3)
    second = metrics.paired_drop(*counted(53, 0, 0, 1))
    assert second.low < 0 < second.high


def test_pairs_that_agree_narrow_the_interval() -> None:
    same = metrics.paired_drop(*counted(450, 2, 2, 46))
    shuffled = metrics.paired_drop(*counted(409, 43, 43, 5))
    assert same.high - same.low < (shuffled.high - shuffled.low) / 3


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_interval_covers_the_truth_about_19_times_in_20(share: float) -> None:
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(400):
        before = (random.random(200) < share).astype(np.float64)
        flip = random.random(200) < 0.1
        after = np.where(flip, 1 - before, before)
        truth = share - (share * 0.9 + (1 - share) * 0.1)
        got = metrics.paired_drop(before, after)
        covered += got.low <= truth <= got.high
    assert 0.92 <= covered / 400 <= 0.99


@pytest.mark.parametrize("labels", [[0, 3], [-1, 0]])
def test_labels_beyond_the_classes_are_an_error_and_not_a_zero(labels: list[int]) -> None:
    with pytest.raises(InvalidInput, match=r"labels run from .* classes 0 to 2"):
        metrics.scores("top1", {"y": np.eye(2, 3)}, np.array(labels), None)


def section(name: str, **settings: object) -> MetricSection:
    return MetricSection(name=name, **settings)


def one_hot(decisions: list[int], classes: int = 3) -> np.ndarray:
    return np.eye(classes)[decisions]


def test_a_sample_of_frames_scores_its_share() -> None:
    outputs = {"y": np.stack([one_hot([0, 1, 2, 2]), one_hot([0, 0, 0, 0])])}
    labels = np.array([[0, 1, 2, 0], [1, 1, 1, 1]])
    assert metrics.judge(section("top1"), outputs, labels).tolist() == [0.75, 0.0]


def ragged(*parts: object) -> np.ndarray:
    found = np.empty(len(parts), object)
    found[:] = [np.asarray(part) for part in parts]
    return found


@pytest.mark.parametrize("name", ["top1", "f1", "threshold", "mse", "cosine"])
def test_samples_of_unequal_length_score_as_they_do_alone(name: str) -> None:
    random = np.random.default_rng(4)
    lengths = (3, 1, 5)
    classes = name in ("top1", "f1")
    wanted = section(name, threshold=0.5)
    values = [random.random((n, 4) if classes else (n,)) for n in lengths]
    labels = [random.integers(0, 4 if classes else 2, n) for n in lengths]
    together = metrics.judge(wanted, {"y": ragged(*values)}, ragged(*labels))
    if name == "f1":
        frames = {"y": np.concatenate(values)}
        assert together == metrics.judge(wanted, frames, np.concatenate(labels))
        return
    alone = [
        metrics.judge(wanted, {"y": v[None]}, t[None])[0]
        for v, t in zip(values, labels, strict=True)
    ]
    assert np.asarray(together).tolist() == alone


def test_f1_is_what_its_definition_says() -> None:
    # A worked table: class 0 has 2 hits, 1 false alarm, 1 miss; 1 has 1, 1, 0; 2 has 2, 0, 1.
    labels = np.array([0, 0, 0, 1, 2, 2, 2])
    outputs = {"y": one_hot([0, 0, 1, 1, 2, 2, 0])}
    each = [2 * 2 / (2 * 2 + 2), 2 / 3, 4 / 5]
    assert metrics.judge(section("f1"), outputs, labels) == pytest.approx(np.mean(each))
    assert metrics.judge(section("f1", average="binary"), outputs, labels) == pytest.approx(2 / 3)


def test_f1_ignores_classes_that_no_label_has() -> None:
    outputs = {"y": one_hot([0, 1, 2])}
    assert metrics.judge(section("f1"), outputs, np.array([0, 1, 1])) == pytest.approx(
        (1 + 2 / 3) / 2
    )


def test_f1_of_some_samples_counts_the_classes_among_them() -> None:
    # Columns: hits of both classes, then false alarms, then misses.
    assert builtin.f1(np.array([[3.0, 0, 0, 0, 1, 0]])).tolist() == [6 / 7]
    assert builtin.f1(np.array([[3.0, 0, 0, 2, 1, 0]])).tolist() == [6 / 7]
    assert builtin.f1(np.array([[0.0, 0, 0, 0, 0, 0], [0.0, 0, 1, 1, 0, 0]])).tolist() == [1, 0]


@pytest.mark.parametrize("shape", [(6,), (6, 1)])
def test_single_values_are_decided_by_the_threshold(shape: tuple[int, ...]) -> None:
    outputs = {"y": np.array([0.1, 0.4, 0.5, 0.6, 0.9, 0.2]).reshape(shape)}
    labels = np.array([0, 1, 1, 0, 1, 0])
    binary = section("f1", threshold=0.5, average="binary")
    assert metrics.judge(binary, outputs, labels) == pytest.approx(2 / 3)
    found = metrics.judge(section("threshold", threshold=0.5), outputs, labels)
    assert found.tolist() == [1, 0, 1, 0, 1, 1]


def test_cosine_and_mse_follow_their_definitions() -> None:
    outputs = {"y": np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])}
    labels = np.array([[4.0, 3.0], [1.0, 0.0], [0.0, 0.0]])
    assert metrics.judge(section("cosine"), outputs, labels).tolist() == pytest.approx([0.96, 0, 1])
    assert metrics.judge(section("mse"), outputs, labels).tolist() == [1.0, 0.5, 0.0]


NOISE = np.random.default_rng(9).normal(size=(300, 4))
TRUTH = np.random.default_rng(8).normal(size=(300, 4))


@pytest.mark.parametrize(("name", "labels"), [("mse", TRUTH), ("cosine", TRUTH)])
def test_what_is_worse_drops_whichever_way_a_metric_points(name: str, labels: np.ndarray) -> None:
    near, far = {"y": TRUTH + 0.1 * NOISE}, {"y": TRUTH + 0.5 * NOISE}
    forth = metrics.compare(section(name), near, far, labels).drop
    back = metrics.compare(section(name), far, near, labels).drop
    assert 0 < forth.low <= forth.value <= forth.high
    assert (back.low, back.value, back.high) == pytest.approx(
        (-forth.high, -forth.value, -forth.low)
    )


def test_bootstrap_agrees_with_the_theory_of_means() -> None:
    outputs = {"y": TRUTH + 0.1 * NOISE}, {"y": TRUTH + 0.5 * NOISE}
    got = metrics.compare(section("mse"), *outputs, TRUTH).drop
    one, two = (np.asarray(metrics.judge(section("mse"), side, TRUTH)) for side in outputs)
    error = (two - one).std(ddof=1) / np.sqrt(len(one))
    assert got.high - got.low == pytest.approx(2 * metrics.Z * error, rel=0.05)
    assert got == metrics.compare(section("mse"), *outputs, TRUTH).drop


def test_jackknife_of_equal_clusters_is_the_t_interval_of_their_means() -> None:
    outputs = {"y": TRUTH + 0.1 * NOISE}, {"y": TRUTH + 0.5 * NOISE}
    clusters = np.repeat(np.arange(20), 15)
    got = metrics.compare(section("mse"), *outputs, TRUTH, clusters).drop
    one, two = (np.asarray(metrics.judge(section("mse"), side, TRUTH)) for side in outputs)
    means = (two - one).reshape(20, 15).mean(axis=1)
    error = means.std(ddof=1) / np.sqrt(20)
    assert got.value == pytest.approx(means.mean())
    assert got.high - got.value == pytest.approx(2.09302 * error, rel=1e-5)
    assert got.method == "cluster-jackknife"


@pytest.mark.parametrize(
    ("degrees", "quantile"),  # any table of Student's t
    [(1, 12.7062), (2, 4.30265), (3, 3.18245), (7, 2.36462), (20, 2.08596), (120, 1.97993)],
)
def test_quantiles_of_t_are_those_of_the_tables(degrees: int, quantile: float) -> None:
    assert resampling.student(degrees) == pytest.approx(quantile, rel=1e-5)


def test_errors_that_come_in_clusters_widen_the_interval() -> None:
    labels = np.zeros(400, int)
    before, after = one_hot([0] * 400, 2), one_hot([0] * 360 + [1] * 40, 2)
    clusters = np.repeat(np.arange(20), 20)
    alone = metrics.compare(section("top1"), {"y": before}, {"y": after}, labels).drop
    grouped = metrics.compare(section("top1"), {"y": before}, {"y": after}, labels, clusters).drop
    assert alone.value == grouped.value == 0.1
    assert grouped.high > alone.high + 0.05
    same = metrics.compare(section("top1"), {"y": before}, {"y": before}, labels, clusters).drop
    assert same.high == pytest.approx(metrics.wilson(0, 400)[1])


def test_clusters_of_another_length_or_just_one_are_refused() -> None:
    sides = {"y": one_hot([0, 1, 2])}, {"y": one_hot([0, 1, 1])}
    labels = np.array([0, 1, 2])
    with pytest.raises(InvalidInput, match="3 samples, but the groups have the shape"):
        metrics.compare(section("top1"), *sides, labels, np.arange(4))
    with pytest.raises(InvalidInput, match="all samples are in one group"):
        metrics.compare(section("top1"), *sides, labels, np.zeros(3))
    with pytest.raises(InvalidInput, match="3 samples, but the groups"):
        metrics.by_group(section("top1"), *sides, labels, np.arange(2))


def test_groups_are_scored_apart() -> None:
    sides = {"y": one_hot([0, 1, 2, 0])}, {"y": one_hot([0, 1, 0, 1])}
    groups = np.array(["new", "new", "old", "old"])
    found = metrics.by_group(section("top1"), *sides, np.array([0, 1, 2, 0]), groups)
    assert [(item.group, item.before.value, item.drop.value) for item in found] == [
        ("new", 1.0, 0.0),
        ("old", 1.0, 1.0),
    ]
    assert [item.drop.samples for item in found] == [2, 2]


@pytest.mark.parametrize("max_drop", [0.001, 0.005, 0.05, 0.5])
def test_the_fewest_samples_are_just_enough_for_an_unchanged_model(max_drop: float) -> None:
    least = metrics.fewest(max_drop)
    assert least is not None
    assert metrics.paired_drop(np.ones(least), np.ones(least)).high <= max_drop
    assert least == 1 or metrics.paired_drop(np.ones(least - 1), np.ones(least - 1)).high > max_drop
    assert metrics.decidable(least, max_drop) and not metrics.decidable(least - 1, max_drop)
    assert metrics.fewest(0.0) is None


def repeated(both: int, lost: int, won: int, neither: int) -> metrics.Comparison:
    before, after = counted(both, lost, won, neither)
    sides = [{"y": one_hot(side.astype(int).tolist(), 2)} for side in (before, after)]
    return metrics.compare(section("top1"), *sides, np.ones(len(before), int))


@pytest.mark.parametrize("max_drop", [0.03, 0.005])
def test_so_many_samples_as_are_needed_decide(max_drop: float) -> None:
    small = (180, 5, 3, 12)  # a drop of one point, seen in 200 samples
    undecided = repeated(*small)
    assert undecided.drop.low < max_drop < undecided.drop.high
    times = -(-(metrics.needed(undecided, max_drop) or 0) // 200)
    drop = repeated(*(times * count for count in small)).drop
    far = repeated(*(times * count // 2 for count in small)).drop
    assert drop.high <= max_drop * 1.05 or drop.low > max_drop * 0.95
    assert far.low < max_drop < far.high
    assert metrics.needed(undecided, undecided.drop.value) is None


def test_an_unchanged_model_needs_the_fewest() -> None:
    same = repeated(9500, 0, 0, 500)
    assert same.discordance == 0
    assert same.drop.high == -same.drop.low == pytest.approx(metrics.wilson(0, 10_000)[1])
    assert metrics.needed(same, 0.005) == metrics.fewest(0.005) == 765


SCORING = """
import numpy as np
from helper import share

def hits(outputs, labels):
    return outputs["y"].argmax(-1) == labels

def whole(outputs, labels):
    return share(outputs["y"], labels)

def names(outputs, labels):
    return np.full(len(labels), len(outputs))

def error(outputs, labels):
    return 1.0 - share(outputs["y"], labels)

def both_classes(outputs, labels):
    if len(np.unique(labels)) < 2:
        raise ValueError("one class only")
    return share(outputs["y"], labels)

def few(outputs, labels):
    return [1.0, 2.0]

def broken(outputs, labels):
    return np.full(len(labels), np.nan)

def text(outputs, labels):
    return "good"

def raising(outputs, labels):
    raise KeyError("logits")

def meddling(outputs, labels):
    labels[0] = 1

def leaving(outputs, labels):
    raise SystemExit(3)

constant = 3
"""
HELPER = "def share(values, labels):\n    return float((values.argmax(-1) == labels).mean())\n"


@pytest.fixture
def scoring(tmp_path: Path) -> Callable[..., MetricSection]:
    (tmp_path / "scoring.py").write_text(SCORING)
    (tmp_path / "helper.py").write_text(HELPER)
    return lambda name, **more: MetricSection(name=f"scoring:{name}", root=tmp_path, **more)


SIDES = {"y": one_hot([0, 1, 2, 0] * 50)}, {"y": one_hot([0, 1, 0, 0] * 50)}
LABELS = np.array([0, 1, 2, 0] * 50)


def test_a_projects_own_metric_counts_as_the_same_one_built_in(
    scoring: Callable[..., MetricSection],
) -> None:
    own = metrics.compare(scoring("hits"), *SIDES, LABELS)
    assert own == metrics.compare(section("top1"), *SIDES, LABELS)
    whole = metrics.compare(scoring("whole"), *SIDES, LABELS)
    assert (whole.before.value, whole.drop.value) == (1.0, 0.25)
    assert (whole.drop.low, whole.drop.high) == pytest.approx(
        (own.drop.low, own.drop.high), abs=0.02
    )
    error = metrics.compare(scoring("error", lower_is_better=True), *SIDES, LABELS)
    assert (error.before.value, error.drop.value) == (0.0, 0.25)


def test_a_callable_sees_all_outputs_or_the_one_that_is_named(
    scoring: Callable[..., MetricSection],
) -> None:
    outputs = {**SIDES[0], "z": np.zeros(200)}
    assert metrics.judge(scoring("names"), outputs, LABELS)[0] == 2
    assert metrics.judge(scoring("names", output="z"), outputs, LABELS)[0] == 1
    assert metrics.wanted(section("top1"), ("y", "z")) == ("y",)


def test_a_choice_that_lacks_a_class_is_left_out_of_the_resamples(
    scoring: Callable[..., MetricSection],
) -> None:
    sides = [{"y": one_hot([0, 0, 0, 0, 0, 0, 0, last], 2)} for last in (1, 0)]
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    found = metrics.compare(scoring("both_classes"), *sides, labels)
    assert found.drop.value == 0.125


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("few", r"scoring:few returned a list of 2, expected 200 scores, one a sample, or one"),
        ("broken", "scoring:broken returned NaN"),
        ("text", "scoring:text returned str, expected"),
        ("raising", r"scoring:raising raised KeyError: 'logits' \(scoring.py, line 32\)"),
        ("leaving", "scoring:leaving raised SystemExit: 3"),
        ("meddling", "scoring:meddling raised ValueError: assignment destination is read-only"),
        ("nothing", "scoring has no 'nothing'"),
        ("constant", "scoring:constant is no function but int"),
    ],
)
def test_a_callable_that_fails_is_named_and_quoted(
    scoring: Callable[..., MetricSection], name: str, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message) as caught:
        metrics.judge(scoring(name), SIDES[0], LABELS)
    assert caught.value.where == "metric.name"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no module 'absent': neither installed nor in"),
        ("import nowhere_at_all", "absent can't be loaded: ModuleNotFoundError: No module named"),
        ("1 / 0", r"absent can't be loaded: ZeroDivisionError: .* \(absent.py, line 1\)"),
        ("raise SystemExit(2)", "absent can't be loaded: SystemExit: 2"),
        ("def score(:", "absent can't be loaded: SyntaxError"),
    ],
)
def test_a_module_that_does_not_load_says_why(
    text: str | None, message: str, tmp_path: Path
) -> None:
    if text:
        (tmp_path / "absent.py").write_text(text)
    with pytest.raises(InvalidInput, match=message):
        metrics.judge(MetricSection(name="absent:score", root=tmp_path), SIDES[0], LABELS)
    assert str(tmp_path) not in sys.path


def test_modules_of_one_name_are_told_apart_and_changes_are_seen(tmp_path: Path) -> None:
    def value(folder: Path) -> float:
        found = metrics.judge(MetricSection(name="mine:score", root=folder), SIDES[0], LABELS)
        assert isinstance(found, float)
        return found

    one, two = tmp_path / "one", tmp_path / "two"
    for folder, result in ((one, 1), (two, 2)):
        folder.mkdir()
        (folder / "mine.py").write_text(
            "def score(outputs, labels):\n    from part import VALUE\n    return float(VALUE)\n"
        )
        (folder / "part.py").write_text(f"VALUE = {result}\n")
    assert [value(folder) for folder in (one, two, one)] == [1, 2, 1]
    named = MetricSection(name="mine:score", root=one)
    before = metrics.digest(named)
    (one / "part.py").write_text("VALUE = 3\n")
    assert value(one) == 3
    assert metrics.digest(named) != before
    assert metrics.digest(MetricSection()) is None
    assert not list(tmp_path.rglob("__pycache__"))


def test_the_metric_in_the_documentation_scores_texts(repository: Path, tmp_path: Path) -> None:
    page = (repository / "docs" / "project-file.md").read_text()
    (found,) = re.findall(r"```python\n(# scoring.py.*?)```", page, re.DOTALL)
    (tmp_path / "scoring.py").write_text(found)
    logits = np.stack([one_hot([1, 1, 0, 1, 2]), one_hot([0, 2, 2, 0, 0])])
    labels = np.array([[1, 1, 2], [2, 2, 0]])
    words = MetricSection(name="scoring:words", root=tmp_path)
    assert metrics.judge(words, {"logits": logits}, labels).tolist() == [1.0, 0.0]


def test_a_module_does_not_hide_one_that_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def score(outputs, labels):\n    return 1.0\n")
    with pytest.raises(InvalidInput, match="'json' beside the project file has the name of"):
        metrics.judge(MetricSection(name="json:score", root=tmp_path), SIDES[0], LABELS)
