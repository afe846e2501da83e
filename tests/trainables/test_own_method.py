"""An own method is judged by itself, found by its name, and loaded only if its file has the hash that was recorded."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from trainables.own_method import VARIABLE, OwnKnob, OwnMethod, OwnMethodError, OwnSource

KNOB = OwnKnob("focus", reference=1.0, low=0.0, high=3.0, text="Which samples count.")
METHOD = OwnMethod("focal", "A loss.", loss=print, knobs=(KNOB,))
SOURCE = "from trainables.own_method import OwnMethod\nMETHOD = OwnMethod('focal', 'A loss.', loss=print)\n"


def test_a_sound_method_has_no_faults() -> None:
    assert METHOD.faults() == []
    assert replace(METHOD, knobs=(replace(KNOB, low=0.5, log=True),), needs="logits", weight=3).faults() == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "focal-kd"}, "name must be a Python name of letters, digits and _, which starts with a letter, not"),
        ({"name": "lambda"}, "got 'lambda'"),
        ({"name": "_focal"}, "got '_focal'"),
        ({"name": "model_x"}, "got 'model_x'"),
        ({"name": 3}, "got 3"),
        ({"name": "teacher"}, "not teacher, total, best1 or one that ends in _tuned; got 'teacher'"),
        ({"name": "best2"}, "got 'best2'"),
        ({"name": "la_tuned"}, "got 'la_tuned'"),
        ({"text": ""}, "text must say in words what the loss measures; got ''"),
        ({"loss": 3}, "loss must be a function; got 3"),
        ({"needs": "features"}, "needs must be None or 'logits'; got 'features'"),
        ({"weight": 0}, "weight must be a finite number above 0; got 0"),
        ({"weight": float("nan")}, "got nan"),
        ({"weight": True}, "got True"),
        ({"uses": ("tau",)}, "uses must map built-in knobs to reference values; got ('tau',)"),
        ({"knobs": [KNOB]}, "knobs must be a tuple of OwnKnob; got [OwnKnob("),
        ({"knobs": (KNOB, KNOB)}, "knob focus must stand once; got it twice"),
        ({"knobs": (replace(KNOB, name="focal_weight"),)}, "knob focal_weight must stand once; got it twice"),
    ],
)
def test_a_fault_names_the_rule_and_the_value(changes: dict[str, Any], fault: str) -> None:
    (found,) = replace(METHOD, **changes).faults()
    assert fault in found


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"name": "a b"}, "the name of a knob must be a Python name of letters, digits and _"),
        ({"text": None}, "knob focus: text must say in words what the knob does; got None"),
        ({"low": 3.0}, "knob focus: low must be below high; got 3 and 3"),
        ({"low": 5.0}, "knob focus: low must be below high; got 5 and 3"),
        ({"reference": -0.1}, "knob focus: reference must lie from 0 to 3; got -0.1"),
        ({"reference": 3.5}, "got 3.5"),
        ({"log": True}, "knob focus: low must be above 0 on a log scale; got 0"),
        ({"log": True, "low": -1.0}, "got -1"),
        ({"high": float("inf")}, "knob focus: reference, low and high must be finite numbers; got (1.0, 0.0, inf)"),
        ({"high": "3"}, "must be finite numbers; got (1.0, 0.0, '3')"),
    ],
)
def test_a_fault_of_a_knob_names_the_knob(changes: dict[str, Any], fault: str) -> None:
    (found,) = replace(METHOD, knobs=(replace(KNOB, **changes),)).faults()
    assert fault in found


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a sound method in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    path = tmp_path / "my_loss.py"
    path.write_text(SOURCE)
    return path


def test_a_module_is_found_in_the_current_folder_then_on_the_path(
    module: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = OwnSource.find("my_loss:METHOD")
    assert found.path == module
    assert found.load().name == "focal"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(OwnMethodError, match=r"a file my_loss\.py must be in the current folder or on PYTHONPATH"):
        OwnSource.find("my_loss:METHOD")
    monkeypatch.syspath_prepend(tmp_path)
    assert OwnSource.find("my_loss:METHOD") == found
    module.rename(elsewhere / "my_loss.py")
    assert OwnSource.find("my_loss:METHOD").path.parent == elsewhere


@pytest.mark.parametrize("method", ["my_loss", "my_loss:", ":METHOD", "my.loss:METHOD", "../my_loss:METHOD", ""])
def test_the_name_has_one_form(method: str, module: Path) -> None:
    with pytest.raises(OwnMethodError, match="--method must read module:ATTRIBUTE, a Python file"):
        OwnSource.find(method)


def test_a_package_is_no_file(module: Path, tmp_path: Path) -> None:
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / "__init__.py").write_text(SOURCE)
    with pytest.raises(OwnMethodError, match=r"a file pack\.py must be"):
        OwnSource.find("pack:METHOD")


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("raise KeyError('x')", r"my_loss\.py cannot be imported: KeyError: 'x'"),
        ("raise ValueError('a\\nb')", r"my_loss\.py cannot be imported: ValueError: a b"),
        ("import no_such_module", "cannot be imported: ModuleNotFoundError"),
        ("METHOD = (", "cannot be imported: SyntaxError"),
        ("", r"my_loss\.py has no attribute METHOD; its methods are none"),
        (SOURCE.replace("METHOD", "FOCAL"), r"my_loss\.py has no attribute METHOD; its methods are FOCAL"),
        ("METHOD = print", "must be an OwnMethod; got builtin_function_or_method"),
        (SOURCE.replace("print", "3"), "own method my_loss:METHOD: loss must be a function; got 3"),
    ],
)
def test_a_module_without_a_sound_method_is_refused(source: str, fault: str, module: Path) -> None:
    module.write_text(source)
    with pytest.raises(OwnMethodError, match=fault):
        OwnSource.find("my_loss:METHOD").load()


def test_another_content_is_refused_and_not_run(module: Path) -> None:
    found = OwnSource.find("my_loss:METHOD")
    module.write_text("raise SystemExit")
    with pytest.raises(OwnMethodError, match=r"has changed since the study began; its SHA-256 was .* now it is"):
        found.load()
    module.unlink()
    with pytest.raises(OwnMethodError, match=r"my_loss\.py is not on Python's path here"):
        found.load()


def test_the_name_of_a_module_that_is_loaded_is_refused(module: Path) -> None:
    module.rename(module.with_name("json.py"))
    with pytest.raises(OwnMethodError, match=r"another module has the name json; rename .*json\.py"):
        OwnSource.find("json:METHOD").load()


def test_another_process_is_given_the_same_source(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert OwnSource.entered() is None
    found = OwnSource.find("my_loss:METHOD")
    monkeypatch.setenv(VARIABLE, found.text)
    assert OwnSource.entered() == found
