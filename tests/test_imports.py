"""The floors of the house: which package may import which, no circle anywhere, few modules per folder.

Every import counts: those inside functions too, and those that only type checkers follow.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("study", "trainables", "search_spaces", "analysis", "benchmarks")

#: Most modules in one folder, `__init__` not counted.
MOST_MODULES = 12

#: The floors, lowest first: a package or module, and exactly what its modules import of ours beside itself.
#: A module belongs to the longest name that it lies in. Bare `trainables.cckd` is the trainer's ground: its
#: methods, metrics and records. Bare `study` and `analysis` are the commands.
FLOORS = """
study.schema:
trainables.own_method:
trainables.cckd.files:
trainables.cckd: trainables.cckd.files trainables.own_method
trainables.cckd.losses: trainables.own_method trainables.cckd
trainables.cckd.config: trainables.cckd trainables.cckd.losses
search_spaces: trainables.own_method trainables.cckd trainables.cckd.config
study.lock: trainables.cckd
trainables.cckd.data.images.formats:
trainables.cckd.data.images: trainables.cckd trainables.cckd.data.images.formats
trainables.cckd.data.store: trainables.cckd.files trainables.cckd trainables.cckd.data.images
    trainables.cckd.data.images.formats
trainables.cckd.teacher.cache: trainables.cckd.files trainables.cckd
analysis.stats: search_spaces
study.strategy: study.schema trainables.cckd search_spaces
study.terminal: study.schema trainables.cckd.files trainables.cckd
study.measured: trainables.cckd.files trainables.cckd study.terminal
trainables.cckd.data.sources: trainables.cckd trainables.cckd.data.images
trainables.cckd.teacher: trainables.cckd.files trainables.cckd trainables.cckd.data.images
study.records: study.schema trainables.cckd.files trainables.cckd search_spaces study.lock trainables.cckd.losses
    study.strategy study.terminal
trainables.cckd.data: trainables.cckd.files trainables.cckd trainables.cckd.data.images trainables.cckd.data.sources
trainables.cckd.teacher.fit: trainables.cckd.files trainables.cckd trainables.cckd.data.images
    trainables.cckd.teacher.cache trainables.cckd.teacher
analysis.reading: study.schema trainables.cckd.files search_spaces analysis.stats study.strategy study.records
trainables.cckd.bundle: trainables.cckd trainables.cckd.data.images trainables.cckd.teacher trainables.cckd.data
    trainables.cckd.teacher.fit
analysis.search: search_spaces analysis.stats study.strategy analysis.reading
trainables.cckd.batches: trainables.cckd trainables.cckd.config trainables.cckd.data.images trainables.cckd.losses
    trainables.cckd.teacher trainables.cckd.bundle
trainables.cckd.students: trainables.cckd.files trainables.cckd trainables.cckd.bundle
analysis.results: study.schema trainables.cckd trainables.cckd.losses analysis.stats analysis.reading analysis.search
trainables.cckd.training: trainables.cckd.files trainables.cckd trainables.cckd.config trainables.cckd.data.images
    trainables.cckd.losses trainables.cckd.bundle trainables.cckd.batches trainables.cckd.students
analysis.page: study.schema analysis.stats study.terminal analysis.reading analysis.results
trainables.cckd.concurrent: trainables.cckd trainables.cckd.students trainables.cckd.training
analysis.exports: study.schema search_spaces trainables.cckd.losses study.strategy study.records analysis.reading
    analysis.search analysis.results analysis.page
analysis.figures: search_spaces analysis.reading analysis.search analysis.page
trainables: trainables.cckd trainables.cckd.config trainables.cckd.teacher trainables.cckd.bundle
    trainables.cckd.students trainables.cckd.training trainables.cckd.concurrent
analysis.sections: study.schema analysis.stats analysis.reading analysis.search analysis.results analysis.page
    analysis.figures
study.overview: study.schema trainables.cckd.files trainables.cckd study.lock study.terminal study.records
study.planning: study.schema trainables.cckd.files trainables.cckd trainables.cckd.config
    trainables.cckd.losses search_spaces study.measured
    trainables.cckd.data.images study.strategy study.terminal trainables.cckd.teacher study.records
    trainables.cckd.teacher.fit trainables.cckd.data trainables.cckd.data.store trainables.cckd.students trainables
analysis: study.schema search_spaces analysis.stats study.lock study.terminal study.overview analysis.reading
    analysis.search analysis.results analysis.page analysis.exports analysis.sections
study.execution: study.schema trainables.own_method trainables.cckd trainables.cckd.data.images
    trainables.cckd.data.store study.measured
    study.terminal study.records trainables study.planning
study.teacher: trainables.cckd.files trainables.cckd trainables.cckd.data.images trainables.cckd.data.store
    trainables.cckd.teacher.cache
    study.terminal trainables.cckd.teacher trainables.cckd.teacher.fit trainables.cckd.bundle trainables.cckd.students
    trainables.cckd.training study.planning study.execution
study.phases.state: study.schema trainables.cckd.files trainables.cckd study.terminal study.records
    trainables.cckd.bundle trainables
    study.planning study.execution study.teacher
study.phases: study.schema trainables.cckd trainables.cckd.config search_spaces study.strategy study.terminal
    study.measured study.records trainables study.planning study.execution study.teacher study.phases.state
study.phases.session: study.schema trainables.cckd.files trainables.cckd study.terminal study.records
    trainables.cckd.data trainables study.planning study.execution study.phases.state study.phases
study.entry: study.schema trainables.own_method trainables.cckd.files trainables.cckd study.lock study.terminal
    analysis.search study.planning analysis study.phases.state study.phases.session
study: study.schema trainables.cckd.files trainables.cckd trainables.cckd.config study.lock
    trainables.cckd.data.store trainables.cckd.teacher.cache study.terminal trainables.cckd.teacher study.records
    study.overview trainables.cckd.training study.planning study.execution study.teacher study.phases.state
    study.phases.session study.entry
"""

#: Package -> third-party packages that it must not import, and the modules or packages in it that may.
BANNED: Mapping[str, tuple[Sequence[str], Sequence[str]]] = {
    "search_spaces": (("ray", "torch", "timm", "pandas"), ()),
    "trainables": (("ray",), ("trainables.trial", "trainables.trial_host")),
    "trainables.cckd": (("ray", "optuna", "pandas"), ()),
    "study": (("ray",), ("study.execution",)),
    "analysis": (("ray", "torch", "timm", "torchvision"), ()),
}


def floors() -> dict[str, set[str]]:
    """Package or module -> what it may import of ours; the benchmarks stand above all and may import anything."""
    rows = re.sub(r"\n +", " ", FLOORS.strip()).splitlines()
    table = {room: set(others.split()) for room, _, others in (row.partition(":") for row in rows)}
    return table | {"benchmarks": set(table)}


MAY_IMPORT = floors()


def sources() -> dict[str, str]:
    """The source of every module of ours, by its dotted name; a package is named without `__init__`."""
    files = [path for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    return {
        name.removesuffix(".__init__"): path.read_text(encoding="utf-8")
        for name, path in zip(names, files, strict=True)
    }


SOURCES = sources()


def imported(source: str) -> Iterator[str]:
    """Every name that a source imports: `a.b` of `import a.b`, `a.b` of `from a import b`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "our modules import each other by their whole names"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, prefixes: Sequence[str]) -> bool:
    """Whether `name` is one of the packages or lies in one."""
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def module_of(name: str, modules: Mapping[str, str]) -> str | None:
    """The module of ours that the import of `name` loads; None for another's."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name or None


def room_of(module: str) -> str:
    """The row of the table that a module belongs to."""
    fitting = [room for room in MAY_IMPORT if within(module, (room,))]
    assert fitting, f"MAY_IMPORT has no row for {module}"
    return max(fitting, key=len)


def graph(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Module -> modules of ours that it imports."""
    found = {name: {module_of(other, modules) for other in imported(source)} for name, source in modules.items()}
    return {name: {other for other in others if other and other != name} for name, others in found.items()}


def upward(modules: Mapping[str, str]) -> list[str]:
    """One sentence per import that the table does not allow."""
    imports = [(module, other) for module, others in graph(modules).items() for other in sorted(others)]
    return [
        f"{module} may not import {other}; may import: {', '.join(sorted(MAY_IMPORT[room_of(module)]))}"
        for module, other in imports
        if room_of(other) not in {room_of(module), *MAY_IMPORT[room_of(module)]}
    ]


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """The first circle among the modules or rooms; empty where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def rooms(modules: Mapping[str, str]) -> dict[str, set[str]]:
    """Room -> rooms that its modules import."""
    found: dict[str, set[str]] = {}
    for module, others in graph(modules).items():
        found.setdefault(room_of(module), set()).update(map(room_of, others))
    return {room: others - {room} for room, others in found.items()}


def test_every_import_is_one_that_the_table_allows() -> None:
    assert upward(SOURCES) == []


def test_there_is_no_circle() -> None:
    assert circle(graph(SOURCES)) == []
    assert circle(rooms(SOURCES)) == []


def test_the_table_allows_nothing_that_no_module_needs() -> None:
    assert rooms(SOURCES) | {"benchmarks": MAY_IMPORT["benchmarks"]} == MAY_IMPORT


def test_a_planted_circle_is_found() -> None:
    lower, upper = "study.records.store", "study.records.ledger"
    assert lower in SOURCES
    assert upper in SOURCES
    planted = f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {upper} import Ledger\n"
    both = {**SOURCES, lower: SOURCES[lower] + planted, upper: SOURCES[upper] + f"import {lower}\n"}
    assert {lower, upper} <= set(circle(graph(both)))


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("trainables.cckd.losses", "from study.records.ledger import Ledger"),
        ("study.strategy", "def f() -> None:\n    import study.phases"),
        ("analysis.stats", "from analysis.results import ladder"),
        ("study.phases", "from analysis.report import build_report"),
    ],
)
def test_a_planted_upward_import_is_found(module: str, line: str) -> None:
    faults = upward({**SOURCES, module: f"{SOURCES[module]}\n{line}\n"})
    assert len(faults) == 1
    assert faults[0].startswith(f"{module} may not import ")


@pytest.mark.parametrize("package", BANNED)
def test_a_package_imports_no_library_that_it_is_to_do_without(package: str) -> None:
    libraries, excepted = BANNED[package]
    users = {
        module
        for module, source in SOURCES.items()
        if within(module, (package,)) and any(within(name, libraries) for name in imported(source))
    }
    assert {module for module in users if not within(module, excepted)} == set()


def test_no_folder_holds_too_many_modules() -> None:
    folders = [path for package in OURS[:4] for path in (ROOT / package, *(ROOT / package).rglob("*")) if path.is_dir()]
    counts = {
        str(folder.relative_to(ROOT)): len(set(folder.glob("*.py")) - {folder / "__init__.py"}) for folder in folders
    }
    assert sum(counts.values()) > 200
    assert {folder: n for folder, n in counts.items() if n > MOST_MODULES} == {}


@pytest.mark.parametrize("package", [name for name in SOURCES if (ROOT / name.replace(".", "/")).is_dir()])
def test_the_init_of_a_package_names_all_that_is_in_it(package: str) -> None:
    contents = ast.get_docstring(ast.parse(SOURCES[package])) or ""
    members = {name.removeprefix(f"{package}.").split(".")[0] for name in SOURCES if name.startswith(f"{package}.")}
    assert {member for member in members if not re.search(rf"\b{member}\b", contents)} == set()


@pytest.mark.parametrize(
    ("modules", "heavy"),
    [
        (("study.run", "study.main"), ("torch", "ray", "optuna", "pandas", "numpy")),
        (("search_spaces.registry",), ("torch", "ray", "sklearn", "sqlalchemy")),
        (
            ("study.status",),
            ("torch", "ray", "optuna", "sqlalchemy", "pandas", "numpy", "pydantic", "importlib.metadata"),
        ),
        (("analysis",), ("torch", "ray", "optuna", "pandas", "numpy")),
        (
            ("trainables.trial", "trainables.trial_host", "study.phases.drive", "study.teacher.worker_tasks"),
            ("torch", "timm", "torchvision"),
        ),
        (("study.teacher.worker_tasks",), ("ray", "optuna", "pandas")),
        (
            ("study.planning.check", "trainables.cckd.config", "trainables.cckd.data.load"),
            ("torch", "ray", "scipy", "sklearn", "sqlalchemy", "pandas", "pyarrow"),
        ),
        (
            ("study.phases.session.begin",),
            ("ray.tune", "torch", "timm", "scipy.optimize", "scipy.stats", "sklearn", "seaborn", "matplotlib"),
        ),
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
