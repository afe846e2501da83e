"""The manifest can say what it ran on, wherever it ran."""

import json
import subprocess
from importlib.metadata import version

import pytest

from study.planning import environment as module
from study.planning.manifest import git_commit, hardware, versions


def test_versions_are_those_installed_and_absent_packages_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PACKAGES", ("numpy", "no-such-package"))
    assert versions().keys() == {"python", "numpy"}
    assert versions()["numpy"] == version("numpy")


def test_the_machine_is_described_in_plain_types() -> None:
    found = hardware("cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] >= 1
    assert found["memory_gb"] > 0
    assert found["cpu"]
    assert found["gpu"] is None


def test_outside_a_checkout_or_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_git(*args: object, **kwargs: object) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", no_git)
    assert git_commit() is None
