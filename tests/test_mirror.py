"""A test file of units stands at the path of the module that it tests: study/lock.py at tests/study/test_lock.py."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("study", "trainables", "analysis", "search_spaces", "benchmarks")

#: Scenarios that stand among unit tests, because they need the fixtures of the conftest.py beside or above them.
SCENARIOS = {
    "tests/analysis/test_hostile_folder.py",
    "tests/analysis/test_odd_folders.py",
    "tests/study/phases/test_confirmation_on_cuts.py",
    "tests/trainables/cckd/test_cuda.py",
}


def mirrors(test: str) -> bool:
    """Whether the product has the module or package of a test file; `test_init.py` mirrors `__init__.py`."""
    path = ROOT / Path(test).relative_to("tests")
    name = path.stem.removeprefix("test_")
    module = path.with_name("__init__.py" if name == "init" else f"{name}.py")
    return module.is_file() or (path.with_name(name) / "__init__.py").is_file()


def test_every_file_of_unit_tests_mirrors_a_module_of_the_product() -> None:
    tests = {path.relative_to(ROOT).as_posix() for one in OURS for path in (ROOT / "tests" / one).rglob("test_*.py")}
    assert len(tests) > 100
    assert {test for test in tests if not mirrors(test)} == SCENARIOS


@pytest.mark.parametrize("test", ["tests/study/test_absent.py", "tests/study/phases/test_lock.py"])
def test_a_test_of_no_module_is_found(test: str) -> None:
    assert not mirrors(test)
