"""Every package of the analysis names its modules in its docstring, and none has more than twelve."""

import re
from pathlib import Path

import pytest

import analysis

ROOT = Path(analysis.__file__).parent
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py") if path.parent != ROOT)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)
def test_the_docstring_is_a_table_of_contents(package: Path) -> None:
    contents = (package / "__init__.py").read_text(encoding="utf-8")
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    assert len(modules) <= 12
    assert {name for name in modules if not re.search(rf"^ *{name} ", contents, re.MULTILINE)} == set()
