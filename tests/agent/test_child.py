"""Programs of a release: bounded in memory and time, and gone with whoever runs them."""

from __future__ import annotations

import os
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

from yardarm_agent import child
from yardarm_wire.problems import NotVerified


def program(code: str) -> list[str]:
    return [sys.executable, "-u", "-c", code]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def errors(tmp_path: Path) -> str:
    return str(tmp_path / "errors.log")


def test_the_last_object_is_the_answer_whatever_the_exit_code(errors: str) -> None:
    code = "print('noise'); print('{\"ok\": false}'); print(); raise SystemExit(8)"
    assert child.answer(program(code), errors, 20) == {"ok": False}


@pytest.mark.parametrize("code", ["", "print('words')", "print('[1]')", "print('{}\\nno')"])
def test_no_answer_is_told_with_the_last_words(errors: str, code: str) -> None:
    code += "\nimport sys; sys.stderr.write('why\\n' * 9 + 'because'); sys.exit(3)"
    with pytest.raises(NotVerified, match="code 3") as caught:
        child.answer(program(code), errors, 20)
    assert caught.value.hint == "why\nwhy\nwhy\nbecause"


def test_a_program_that_never_answers_is_killed(errors: str) -> None:
    code = "import os, time\nprint(os.getpid()); time.sleep(60)"
    begun = time.monotonic()
    with pytest.raises(NotVerified, match="gave no answer"):
        child.answer(program(code), errors, 0.5)
    assert time.monotonic() - begun < 5


def test_what_it_prints_meanwhile_is_no_excuse(errors: str) -> None:
    code = "import time\nwhile True: print('x'); time.sleep(0.01)"
    with pytest.raises(NotVerified, match="gave no answer"):
        child.answer(program(code), errors, 0.5)


def test_one_that_closes_its_output_and_stays_is_killed(
    errors: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "PATIENCE", 0.2)
    code = "import os, time\nos.close(1); time.sleep(60)"
    with pytest.raises(NotVerified, match="did not end"):
        child.answer(program(code), errors, 20)


def test_progress_is_followed_and_noise_passed_over(errors: str) -> None:
    code = "print('noise'); print('{\"done\": 1}'); print('[2]'); print('{\"done\": 2}', end='')"
    assert list(child.follow(program(code), errors)) == [{"done": 1}, {"done": 2}]


def test_a_failed_run_is_told_after_its_progress(errors: str) -> None:
    told = child.follow(program("print('{\"done\": 1}'); raise SystemExit('why')"), errors)
    assert next(told) == {"done": 1}
    with pytest.raises(NotVerified, match="code 1") as caught:
        next(told)
    assert caught.value.hint == "why"


def test_it_is_killed_when_nobody_listens_any_more(errors: str) -> None:
    code = "import os, time\nprint('{\"pid\": %d}' % os.getpid()); time.sleep(60)"
    told = child.follow(program(code), errors)
    pid = next(told)["pid"]
    assert alive(pid)
    told.close()
    assert not alive(pid)


def test_silence_ends_a_run(errors: str) -> None:
    code = "import os, time\nprint('{\"pid\": %d}' % os.getpid()); time.sleep(60)"
    told = child.follow(program(code), errors, silence=0.5)
    pid = next(told)["pid"]
    with pytest.raises(NotVerified, match="gave no answer"):
        next(told)
    assert not alive(pid)


def test_endless_lines_and_words_take_no_memory(errors: str) -> None:
    code = "import sys\nsys.stderr.write('x' * (5 << 20))\nwhile True: sys.stdout.write('y' * 9999)"
    tracemalloc.start()
    try:
        with pytest.raises(NotVerified, match="a line of more than"):
            list(child.follow(program(code), errors))
        assert tracemalloc.get_traced_memory()[1] < 4 * child.MAX_LINE
    finally:
        tracemalloc.stop()
    assert len(child._tail(errors)) <= child.TAIL


def test_a_program_that_is_not_there(errors: str) -> None:
    with pytest.raises(FileNotFoundError):
        child.answer(["/nowhere/program"], errors, 5)


def test_a_silent_run_is_told_to_go_on_until_its_report(errors: str) -> None:
    code = "import time; time.sleep(0.3); print('{\"ok\": false}'); raise SystemExit(8)"
    told = list(child.report(program(code), errors, 20, beat=0.05))
    assert told[-1] == {"ok": False} and told[:-1] == [None] * (len(told) - 1)
    assert len(told) > 2


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise SystemExit('no CPU')", "failed with code 1"),
        ("import time; time.sleep(60)", "ended"),
    ],
)
def test_a_run_without_a_report_is_told(errors: str, code: str, said: str) -> None:
    with pytest.raises(NotVerified, match=said):
        list(child.report(program(code), errors, 0.4, beat=0.1))
