"""Private names of Ray and Optuna stand in two modules only, so that an upgrade of either touches one module."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("study", "analysis")
#: The modules that may use private names, and of which library.
PRIVATE = {"study.execution.ray_private": "ray", "study.strategy.optuna_private": "optuna"}


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


FILES = {_module(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}
OTHERS = {module: path for module, path in FILES.items() if module not in PRIVATE}


#: Named tuples document these; their underscore only keeps them apart from the fields.
OF_NAMED_TUPLES = ("_asdict", "_fields", "_make", "_replace")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in OF_NAMED_TUPLES


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _private_imports(tree: ast.AST) -> list[str]:
    """Private modules and names of Ray and Optuna that are imported."""
    names = [name for name in _imports(tree) if name.split(".")[0] in PRIVATE.values()]
    return [name for name in names if any(map(_is_private, name.split(".")))]


def _foreign_attributes(tree: ast.AST) -> list[str]:
    """Private attributes that the module reads or sets on an object but defines nowhere itself."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    used = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            of = node.value.id if isinstance(node.value, ast.Name) else ""
            if of in ("self", "cls"):
                own.add(node.attr)
            elif of != "argparse":
                used.append(node.attr)
    return [name for name in used if name not in own]


def _overridden(module: str) -> list[str]:
    """Private methods of Ray's or Optuna's classes that a class of the module overrides."""
    classes = inspect.getmembers(importlib.import_module(module), inspect.isclass)
    return [
        f"{name}.{method}"
        for name, cls in classes
        if cls.__module__ == module
        for method in vars(cls)
        if _is_private(method) and method != "_abc_impl"
        for base in cls.__mro__
        if base.__module__.split(".")[0] in PRIVATE.values() and method in vars(base)
    ]


@pytest.mark.parametrize("module", OTHERS)
def test_no_other_module_uses_a_private_name(module: str) -> None:
    tree = ast.parse(OTHERS[module].read_text())
    assert _private_imports(tree) + _foreign_attributes(tree) == []
    if any(name.split(".")[0] in PRIVATE.values() for name in _imports(tree)):
        assert _overridden(module) == []


@pytest.mark.parametrize("module", PRIVATE)
def test_the_two_modules_still_need_private_names(module: str) -> None:
    tree = ast.parse(FILES[module].read_text())
    assert _private_imports(tree)
    assert _foreign_attributes(tree)
    assert module.startswith("study.execution") or _overridden(module)
