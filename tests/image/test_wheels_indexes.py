"""Which indexes are asked, and private ones on loopback, from uv to the last page."""

from __future__ import annotations

from pathlib import Path

import pytest

from wheel_index import ANY, ARM, PASSWORD, USER, X86, sdist, served, wheel
from yardarm.errors import InvalidInput, Unreachable, VerificationFailed
from yardarm.image import doctor, indexes, wheels
from yardarm.image.indexes import Index
from yardarm.image.requirements import Excluded, Request
from yardarm.image.resolving import resolve
from yardarm.image.web import Web
from yardarm.lockfile import Lock
from yardarm.store import Store


@pytest.fixture(autouse=True)
def unconfigured(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the user's nor the machine's own settings count."""
    for name in ("UV_INDEX", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("NETRC", "/dev/null")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)


def asked(*requirements: str, **more: tuple[Excluded, ...]) -> Request:
    return Request(requirements, (), "3.11", "aarch64-manylinux_2_36", **more)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "files"
    found.mkdir()
    wheel(found, "tiny")
    wheel(found, "tiny", X86, version="2.0")
    wheel(found, "needy", ARM, "Requires-Dist: tiny\nRequires-Dist: rich; extra == 'all'\n")
    sdist(found, "source")
    wheel(found, "late", "cp312-cp312-manylinux_2_17_aarch64")
    wheel(found, "wants", ANY, "Requires-Dist: source>=1\nRequires-Dist: tiny<2\n")
    return found


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_uvs_files_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        tmp_path / "config/uv/uv.toml",
        'extra-index-url = ["http://a.invalid/x"]\n'
        '[[index]]\nname = "team-1"\nurl = "http://b.invalid/y"\n'
        '[[index]]\nname = "own"\nurl = "http://u:p%2Fq@c.invalid/z"\ndefault = true\n',
    )
    write(tmp_path / "netrc", "machine a.invalid login anna password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("UV_INDEX_TEAM_1_USERNAME", "tom")
    monkeypatch.setenv("UV_INDEX_TEAM_1_PASSWORD", "hidden")

    found = indexes.configured()

    assert found == (
        Index("http://b.invalid/y", "tom", "hidden"),
        Index("http://a.invalid/x", "anna", "secret"),
        Index("http://c.invalid/z", "u", "p/q"),
    )
    assert not any(word in repr(found) for word in ("hidden", "secret", "p/q"))


def test_pips_index_counts_where_uv_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "pip.conf", "[global]\nindex-url = http://u:p@pip.invalid/simple\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    assert indexes.configured() == (Index("http://pip.invalid/simple", "u", "p"),)

    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://uv.invalid/simple")
    assert indexes.configured() == (Index("http://uv.invalid/simple"),)
    assert indexes.environment() == {}


@pytest.mark.parametrize("form", ["json", "html", "bare"])
def test_a_private_index(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    """Whatever its form, what is locked and what is found are the same."""
    with served(folder, form, private=True) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url_with_credentials)
        wanted = asked("needy", "tiny")
        pinned = resolve(wanted)
        report = doctor.examine(wanted, Lock(), "a-pi")
        record = wheels.make(wanted, pinned, Store(tmp_path / "store"))

    needy = folder / f"needy-1.0-{ARM}.whl"
    assert [(each.name, each.version, each.file, each.size) for each in pinned] == [
        ("needy", "1.0", needy.name, needy.stat().st_size),
        ("tiny", "1.0", f"tiny-1.0-{ANY}.whl", (folder / f"tiny-1.0-{ANY}.whl").stat().st_size),
    ]
    assert record["contents"] == {"needy": "1.0", "tiny": "1.0"}
    assert report.ready
    assert [(each.name, each.version, each.newest, each.usable) for each in report.findings] == [
        ("needy", "1.0", "1.0", "1.0"),
        ("tiny", "1.0", "2.0", "1.0"),
    ]
    assert report.findings[1].asked == ("tiny", "tiny of needy")


def test_all_findings_in_one_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = (Excluded("tiny", "1.0", "dies here"),)
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        report = doctor.examine(
            asked("absent", "late", "tiny", "wants", excluded=bad), Lock(), "a-pi"
        )

    assert not report.ready and not report.conflict
    kinds = {each.name: [why.kind for why in each.reasons] for each in report.findings}
    assert kinds == {
        "absent": ["missing"],
        "late": ["python"],
        "source": ["source"],
        "tiny": ["excluded"],
        "wants": [],
    }
    assert {each.name: each.version for each in report.findings if each.version} == {"wants": "1.0"}
    source = next(each for each in report.findings if each.name == "source")
    assert source.asked == ("source>=1 of wants",)
    tiny = next(each for each in report.findings if each.name == "tiny")
    assert tiny.reasons[0].text == "1.0 is known bad on this device: dies here"


@pytest.mark.parametrize(
    ("strategy", "newest"), [("first-index", "1.0"), ("unsafe-best-match", "3.0")]
)
def test_of_two_indexes_the_first_that_has_a_package(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, strategy: str, newest: str
) -> None:
    (tmp_path / "public").mkdir()
    wheel(tmp_path / "public", "mine", version="3.0")
    wheel(tmp_path / "public", "other")
    wheel(folder, "mine")
    write(tmp_path / "config/uv/uv.toml", f'index-strategy = "{strategy}"\n')
    with served(folder) as own, served(tmp_path / "public") as public:
        monkeypatch.setenv("UV_DEFAULT_INDEX", public.url)
        monkeypatch.setenv("UV_INDEX", own.url)
        report = doctor.examine(asked("mine", "other"), Lock(), "a-pi")

    found = [(each.name, each.version, each.newest) for each in report.findings]
    assert found == [("mine", newest, newest), ("other", "1.0", "1.0")]


def test_an_older_version_is_told_with_what_the_newer_pulls_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also beside a requirement that fails: the others are as they would be without it."""
    wheel(folder, "app", version="1.0")
    wheel(folder, "app", ANY, "Requires-Dist: source\n", version="2.0")
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        fine = doctor.examine(asked("app"), Lock(), "a-pi")
        failing = doctor.examine(asked("app", "late"), Lock(), "a-pi")

    assert fine.ready and not failing.ready
    assert [each.name for each in failing.findings if each.version is None] == ["late"]
    for report in (fine, failing):
        app = report.findings[0]
        assert (app.version, app.newest, app.usable) == ("1.0", "2.0", "2.0")
        (why,) = app.reasons
        assert why.kind == "source" and why.text.startswith("2.0 pulls in source: there is only")


def test_packages_that_exclude_each_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its wheel, but of what they ask for there is no common version."""
    wheel(folder, "small", ANY, version="1.0")
    wheel(folder, "small", ANY, version="2.0")
    wheel(folder, "old", ANY, "Requires-Dist: small<2\n")
    wheel(folder, "young", ANY, "Requires-Dist: small>=2\n")
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        report = doctor.examine(asked("old", "young"), Lock(), "a-pi")

    assert not report.ready
    (failed,) = (each for each in report.findings if each.version is None)
    assert (failed.name, failed.usable, failed.reasons[0].kind) == ("small", "2.0", "bound")
    assert "small<2 of old and small>=2 of young" in failed.reasons[0].text


def test_of_two_fitting_wheels_the_pinned_one(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A better wheel of the same version, added later, changes nothing."""
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        wanted = asked("tiny")
        pinned = resolve(wanted)
        wheel(folder, "tiny", ARM, more={"tiny/fast.so": "x"})
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another"))
        record = wheels.make(wanted, pinned, Store(tmp_path / "store"))
        (better,) = resolve(wanted)

    assert better.file != pinned[0].file
    assert "tiny" in record["weights"] and record["blob"]["size"] > 0
    assert wheels.key(wanted, pinned) != wheels.key(wanted, (better,))


def test_uvs_cache_is_enough(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our cache is gone and the index is down, the pinned wheels are in uv's."""
    wanted = asked("needy")
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        pinned = resolve(wanted)
        first = wheels.make(wanted, pinned, Store(tmp_path / "one"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))

    assert wheels.make(wanted, pinned, Store(tmp_path / "two")) == first


def test_a_file_that_was_replaced_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(folder) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
        pinned = resolve(asked("tiny"))
        wheel(folder, "tiny", more={"tiny/evil.py": ""})
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another"))

        with pytest.raises(VerificationFailed, match="not the one that was locked"):
            wheels.make(asked("tiny"), pinned, Store(tmp_path / "store"))


def test_wrong_credentials_are_told_and_not_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with served(folder, private=True) as index:
        monkeypatch.setenv("UV_DEFAULT_INDEX", index.url.replace("://", "://tester:wr0ng@"))
        with pytest.raises(InvalidInput) as raised:
            resolve(asked("tiny"))
        with pytest.raises(InvalidInput, match="HTTP 401"):
            Web((Index(index.url, USER, "wr0ng"),)).get(f"{index.url}/tiny/")

    assert "wr0ng" not in f"{raised.value} {raised.value.hint}"


def test_credentials_go_to_their_own_index_only(folder: Path) -> None:
    with served(folder, private=True) as private, served(folder) as other:
        web = Web((Index(private.url, USER, PASSWORD), Index(other.url)))

        assert web.get(f"{private.url}/tiny/")
        assert web.get(f"{other.url}/tiny/")
        assert web.get(f"{other.url}/absent/") is None
    assert len(private.shown) == 1 and private.shown[0].startswith("Basic ")
    assert other.shown == ["", ""]


def test_a_page_of_links_that_is_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(folder) as index:
        pass
    monkeypatch.setenv("UV_FIND_LINKS", f"{index.url}/links")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(Unreachable):
        indexes.configured()


def test_an_index_that_is_down(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with served(folder) as index:
        pass
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(Unreachable):
        resolve(asked("tiny"))
    with pytest.raises(Unreachable) as raised:
        Web().get(f"{index.url}/tiny/")
    assert "127.0.0.1" not in f"{raised.value} {raised.value.hint}"


def test_only_what_is_needed_of_a_large_wheel_is_fetched(tmp_path: Path) -> None:
    file = wheel(tmp_path, "large", more={"large/data": "x" * 1_000_000})
    with served(tmp_path) as index:
        web = Web((Index(index.url),))
        read = []
        piece = web.piece
        web.piece = lambda url, start, end: read.append(end - start) or piece(url, start, end)  # type: ignore[func-returns-value,method-assign]
        metadata = web.member(f"{index.url}/../files/{file.name}", ".dist-info/METADATA")

    assert metadata and b"Name: large" in metadata
    assert sum(read) < 200_000


def test_a_configuration_that_nobody_can_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "uv.toml", 'index-url = "http://u:s3cret@x.invalid/y"\n[[index')
    monkeypatch.setenv("UV_CONFIG_FILE", str(tmp_path / "uv.toml"))

    for ask in (indexes.configured, lambda: resolve(asked("tiny"))):
        with pytest.raises(InvalidInput, match="uv's configuration") as raised:
            ask()
        assert "s3cret" not in raised.value.hint


def test_a_folder_of_wheels_counts_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")

    report = doctor.examine(asked("needy"), Lock(), "a-pi")

    assert {each.name: each.version for each in report.findings} == {"needy": "1.0", "tiny": "1.0"}
