"""Nothing of ours runs what it reads: every file is walked for the ways in which Python does that."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("study", "trainables", "search_spaces", "analysis", "benchmarks")
FILES = [path.relative_to(ROOT) for package in OURS for path in sorted((ROOT / package).rglob("*.py"))]

#: Modules that rebuild objects from bytes, and so run what their author liked.
PICKLERS = {"pickle", "_pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "ray.cloudpickle"}
#: The one restricted reader: CIFAR's archives are pickles (see its own tests).
MAY_PICKLE = {"trainables/cckd/data/sources/cifar_pickle.py"}
#: Names of `pickle` that run nothing.
HARMLESS = {"UnpicklingError", "PicklingError", "PickleError"}
#: Where packages are looked up by names that stand in the code, and where the command line's own
#: `--space module:ATTRIBUTE` is imported. A study also imports its `--method` again, if the file has the same hash.
MAY_IMPORT_BY_NAME = {
    "study/execution/cluster.py",
    "study/main.py",
    "trainables/cckd/cifar_resnets.py",
    "study/planning/spaces.py",
    "trainables/own_method.py",
    "study/terminal/signals.py",
}

#: Files that run a constant, for what running code from a string does to the interpreter.
MAY_RUN_A_CONSTANT = {"study/terminal/signals.py"}


def dangers(source: str, file: str) -> Iterator[str]:
    """Each way in which `source` could run what it reads."""
    for node in ast.walk(ast.parse(source)):
        where = f"{file}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import) and file not in MAY_PICKLE:
            yield from (f"{where} import {name.name}" for name in node.names if name.name in PICKLERS)
        elif isinstance(node, ast.ImportFrom) and file not in MAY_PICKLE:
            names = {f"{node.module}.{name.name}" for name in node.names if name.name not in HARMLESS}
            yield from (f"{where} from {node.module}" for _ in names if node.module in PICKLERS)
            yield from (f"{where} import {name}" for name in names if name in PICKLERS)
        elif isinstance(node, ast.Call):
            yield from (f"{where} {danger}" for danger in _call_dangers(node, file))


def _call_dangers(call: ast.Call, file: str) -> Iterator[str]:
    name = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    last = name.rpartition(".")[2]
    is_constant = len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and not call.keywords
    harmless = name == "eval" and is_constant and file in MAY_RUN_A_CONSTANT
    if name in ("eval", "exec", "compile", "__import__", "os.system", "os.popen") and not harmless:
        yield name
    if last in ("import_module", "exec_module") and file not in MAY_IMPORT_BY_NAME:
        yield name
    if name == "torch.load" and given.get("weights_only") != "True":
        yield "torch.load without weights_only=True"
    if name in ("np.load", "numpy.load") and given.get("allow_pickle", "False") != "False":
        yield "np.load with pickles"
    if last in ("read_pickle", "load_state_dict_from_url") or name in (
        "yaml.load",
        "yaml.unsafe_load",
        "torch.hub.load",
    ):
        yield name
    if given.get("shell", "False") != "False":
        yield f"{name} through a shell"


@pytest.mark.parametrize("file", FILES, ids=str)
def test_no_file_runs_what_it_reads(file: Path) -> None:
    assert list(dangers((ROOT / file).read_text(), file.as_posix())) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from pickle import loads",
        "from ray import cloudpickle",
        "import marshal",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text)",
        "importlib.import_module(name)",
        "spec.loader.exec_module(module)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
    ],
)
def test_the_walk_sees_each_danger(line: str) -> None:
    assert len(list(dangers(line, "study/x.py"))) == 1


@pytest.mark.parametrize(
    ("line", "n"), [("eval('0')", 0), ("eval(text)", 1), ("exec('0')", 1), ("eval('0', names)", 1)]
)
def test_a_file_that_may_run_a_constant_may_run_nothing_else(line: str, n: int) -> None:
    assert len(list(dangers(line, *MAY_RUN_A_CONSTANT))) == n


def test_the_walk_lets_pass_what_is_harmless() -> None:
    harmless = (
        "from pickle import UnpicklingError\ntorch.load(path, weights_only=True)\nnp.load(path, allow_pickle=False)\n"
        "net.eval()\nre.compile('x')\nsafetensors.torch.load(payload)\nyaml.safe_load(text)\nsubprocess.run([name])"
    )
    assert list(dangers(harmless, "study/x.py")) == []
