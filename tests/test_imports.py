"""Dependencies point one way: every import of every file is walked, those inside functions included."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("study", "trainables", "search_spaces", "analysis", "benchmarks")

BELOW_STUDY = ("search_spaces", "trainables")
EXECUTION_AND_BELOW = (
    *("study.schema", "study.lock", "study.signals", "study.terminal"),
    *("study.strategy", "study.records", "study.planning", "study.execution"),
)
#: package prefix -> which of our packages (or modules) it may import; the longest prefix counts.
MAY_IMPORT_OURS = {
    "search_spaces": ("search_spaces",),
    "trainables": ("trainables",),
    "study": ("study", "search_spaces", "trainables"),
    "study.records": ("study.schema", "study.lock", "study.terminal", "study.strategy", "study.records", *BELOW_STUDY),
    "study.execution": (*EXECUTION_AND_BELOW, *BELOW_STUDY),
    "study.teacher": (*EXECUTION_AND_BELOW, "study.teacher", *BELOW_STUDY),
    "study.phases": (*EXECUTION_AND_BELOW, "study.teacher", "study.phases", *BELOW_STUDY),
    "study.continuation": ("study", "search_spaces", "trainables", "analysis.report"),
    "analysis": (
        "analysis",
        "search_spaces",
        "study.schema",
        "study.records.ledger",
        "study.records.csv_tables",
        "study.strategy.search_settings",
        "study.strategy.optuna_private",
        "study.records.notes",
        "trainables.cckd.files.sealed",
    ),
    "benchmarks": OURS,
}
#: package prefix -> third-party packages it must not import.
MUST_NOT_IMPORT = {
    "search_spaces": ("ray", "torch", "timm", "pandas"),
    "trainables.cckd": ("ray", "optuna", "pandas"),
    "analysis": ("ray", "torch", "timm", "torchvision"),
}


def _modules() -> list[str]:
    files = [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return [name.removesuffix(".__init__") for name in names]


def _imports(module: str) -> Iterator[str]:
    path = ROOT.joinpath(*module.split("."))
    source = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} uses a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _within(name: str, prefixes: tuple[str, ...]) -> bool:
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def test_the_walk_sees_every_package() -> None:
    assert {module.split(".")[0] for module in _modules()} == set(OURS)
    assert len(_modules()) > 30


@pytest.mark.parametrize("module", _modules())
def test_imports_point_one_way(module: str) -> None:
    allowed = MAY_IMPORT_OURS[max((prefix for prefix in MAY_IMPORT_OURS if _within(module, (prefix,))), key=len)]
    banned = tuple(name for prefix, names in MUST_NOT_IMPORT.items() if _within(module, (prefix,)) for name in names)
    for name in _imports(module):
        if _within(name, OURS):
            assert _within(name, allowed), f"{module} may not import {name}"
        assert not _within(name, banned), f"{module} may not import {name}"


def test_ray_stays_in_one_file_of_trainables() -> None:
    assert _with_ray("trainables") == {"trainables.trial"}


def test_ray_stays_in_one_package_of_study() -> None:
    assert {module.rpartition(".")[0] for module in _with_ray("study")} == {"study.execution"}


def _with_ray(package: str) -> set[str]:
    return {m for m in _modules() if _within(m, (package,)) and any(_within(n, ("ray",)) for n in _imports(m))}


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (("study.run",), ("torch", "ray", "optuna", "pandas", "numpy")),
        (("search_spaces",), ("torch", "ray", "sklearn")),
        (
            ("trainables.trial", "trainables.trial_host", "study.phases.drive", "study.teacher.worker_tasks"),
            ("torch", "timm", "torchvision"),
        ),
        (("study.teacher.worker_tasks",), ("ray", "optuna", "pandas")),
        (("study.planning.check", "trainables.cckd.config", "trainables.cckd.data"), ("torch", "ray", "scipy.stats")),
        (("study.phases.drive",), ("scipy.stats", "sklearn")),
        (
            ("analysis.report", "analysis.compare", "analysis.export"),
            ("torch", "ray", "mlflow", "wandb", "optuna_dashboard"),
        ),
    ],
    ids=lambda names: names[0],
)
def test_importing_does_not_load_the_heavy_packages(modules: tuple[str, ...], heavy: tuple[str, ...]) -> None:
    code = f"import sys, {', '.join(modules)}; print(*[name for name in {heavy!r} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
