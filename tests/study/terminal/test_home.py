"""Without a home folder libraries find another place for their caches; with one nothing changes."""

import os
from pathlib import Path

import pytest

from study.terminal.home import home_is_writable, needing_no_home
from tests.support.other_user import run_as_other

CACHES = {"MPLCONFIGDIR": ".config/matplotlib", "HF_HOME": ".cache/huggingface", "TORCH_HOME": ".cache/torch"}


@pytest.fixture(autouse=True)
def _nothing_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CACHES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that may be read, not written; root may write everywhere, so the question is answered for it."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr("study.terminal.home.os.access", lambda path, mode: Path(path) != home)
    return home


def test_a_home_folder_that_can_be_written_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    before = dict(os.environ)
    with needing_no_home():
        assert dict(os.environ) == before


@pytest.mark.parametrize("home", ["/nowhere/at/all", "/proc/version"])
def test_a_home_that_is_no_folder_cannot_be_used(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", home)
    assert not home_is_writable()


def test_caches_lie_in_a_folder_that_goes(locked: Path) -> None:
    before = dict(os.environ)
    with needing_no_home():
        named = [Path(os.environ[name]) for name in CACHES]
        (root,) = {next(parent for parent in path.parents if parent.name.startswith("cckd-home-")) for path in named}
        assert root.is_dir()
        assert os.environ["HOME"] == str(locked)
        named[0].mkdir(parents=True)
    assert not root.exists()
    assert dict(os.environ) == before


def test_a_cache_that_is_there_and_one_that_is_named_are_kept(locked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (locked / CACHES["HF_HOME"]).mkdir(parents=True)
    monkeypatch.setenv("TORCH_HOME", "/elsewhere")
    with needing_no_home():
        assert "HF_HOME" not in os.environ
        assert os.environ["TORCH_HOME"] == "/elsewhere"
        assert "cckd-home-" in os.environ["MPLCONFIGDIR"]
    assert os.environ["TORCH_HOME"] == "/elsewhere"


def test_an_error_in_the_block_restores_the_variables(locked: Path) -> None:
    before = dict(os.environ)
    with pytest.raises(RuntimeError, match="in the block"), needing_no_home():
        raise RuntimeError("in the block")
    assert dict(os.environ) == before


MEANING = """
import os, pathlib
from study.terminal.home import needing_no_home
with needing_no_home():
    print(pathlib.Path("~/ray_results").expanduser())
    folder = pathlib.Path(os.environ["MPLCONFIGDIR"])
    folder.mkdir(parents=True)
print(folder.exists(), os.environ.get("HOME"))
"""


@pytest.mark.parametrize("home", [None, "", "/", "/nowhere", "/root"])
def test_a_uid_without_a_passwd_entry_has_a_meaning_for_its_home(home: str | None) -> None:
    done = run_as_other(["-c", MEANING], {} if home is None else {"HOME": home}, Path("/"))
    assert (done.returncode, done.stderr) == (0, "")
    place = f"{(home or '').rstrip('/')}/ray_results"
    assert done.stdout.splitlines() == [place, f"False {home}"]
