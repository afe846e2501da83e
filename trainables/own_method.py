"""A user's own method: what its module holds, and how each process of a study finds that module.

`study.run --method my_module:METHOD` names an OwnMethod in a file of the user's. The place and the hash of the file go
into one environment variable, which Ray's workers get too. Each process reads it when it builds its tables of methods,
terms and knobs. The user's file imports this module and no other one of ours, for ours are not complete by then.
"""

import json
import keyword
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec
from math import isfinite
from pathlib import Path
from typing import Any, Literal, Self

#: The variable that holds an OwnSource as JSON; only the commands set it.
VARIABLE = "CCKD_OWN_METHOD"

#: What a name may be: `knobs.<name>` must read it, and `_name` and `model_name` are pydantic's.
_NAME = re.compile(r"(?!model_)[A-Za-z][A-Za-z0-9_]*")
_RULE = "a Python name of letters, digits and _, which starts with a letter"
#: Names of other entries of a confirmation, and of the sum of all terms.
_TAKEN = re.compile(r"teacher|total|best\d+|.*_tuned")


class OwnMethodError(ValueError):
    """An own method that cannot be used; the message has one fault per line."""


@dataclass(frozen=True)
class OwnKnob:
    """A number that the loss reads as `setting.knobs.<name>`.

    Attributes:
        name: an identifier that no built-in knob or training setting has.
        reference: the method's own value.
        low, high: the ends of its legal values, which its space searches.
        text: its effect, one sentence.
        log: whether the range is searched on a log scale.
    """

    name: str
    reference: float
    low: float
    high: float
    text: str
    log: bool = False

    def faults(self) -> Iterator[str]:
        """Yield what is wrong with the knob by itself."""
        numbers = (self.reference, self.low, self.high)
        if not _is_name(self.name):
            yield f"the name of a knob must be {_RULE}; got {self.name!r}"
        if not isinstance(self.text, str) or not self.text:
            yield f"knob {self.name}: text must say in words what the knob does; got {self.text!r}"
        if not all(map(_is_number, numbers)):
            yield f"knob {self.name}: reference, low and high must be finite numbers; got {numbers}"
        elif not self.low < self.high:
            yield f"knob {self.name}: low must be below high; got {self.low:g} and {self.high:g}"
        elif not self.low <= self.reference <= self.high:
            yield f"knob {self.name}: reference must lie from {self.low:g} to {self.high:g}; got {self.reference:g}"
        elif self.log and self.low <= 0:
            yield f"knob {self.name}: low must be above 0 on a log scale; got {self.low:g}"


@dataclass(frozen=True)
class OwnMethod:
    """A method of the user's: a loss on D beside the built-in terms, with knobs of its own.

    Attributes:
        name: an identifier; the name of its rung, its space, its term and the column `loss_<name>`.
        text: what the loss measures, one sentence.
        loss: takes the student's logits on D, float32 (N, C), their Targets and the trial's Setting, all on one device
            (trainables/cckd/losses/targets.py, setting.py); returns a scalar with a gradient.
        needs: 'logits' if the loss reads `targets.logits`, the teacher's raw logits; else None.
        knobs: the knobs of its own.
        uses: built-in knob -> its reference value in this method. `tau` adjusts the supervised loss; a weight such as
            `kd_weight` switches a built-in term on. Each is searched where a built-in range holds the reference.
        weight: reference value of the knob `<name>_weight`, searched from a tenth to ten times of it.
    """

    name: str
    text: str
    loss: Callable[..., Any]
    needs: Literal["logits"] | None = None
    knobs: tuple[OwnKnob, ...] = ()
    uses: Mapping[str, float | int | str | bool] = field(default_factory=dict)
    weight: float = 1.0

    @property
    def weight_knob(self) -> str:
        """The name of the knob that weighs the loss."""
        return f"{self.name}_weight"

    def faults(self) -> list[str]:
        """Return what is wrong with the method by itself; the built-in names are not known here."""
        return list(self._faults())

    def _faults(self) -> Iterator[str]:
        if not _is_name(self.name) or _TAKEN.fullmatch(self.name):
            yield f"name must be {_RULE}, not teacher, total, best1 or one that ends in _tuned; got {self.name!r}"
        if not isinstance(self.text, str) or not self.text:
            yield f"text must say in words what the loss measures; got {self.text!r}"
        if not callable(self.loss):
            yield f"loss must be a function; got {self.loss!r}"
        if self.needs not in (None, "logits"):
            yield f"needs must be None or 'logits'; got {self.needs!r}"
        if not _is_number(self.weight) or self.weight <= 0:
            yield f"weight must be a finite number above 0; got {self.weight!r}"
        if not isinstance(self.uses, Mapping):
            yield f"uses must map built-in knobs to reference values; got {self.uses!r}"
        if not isinstance(self.knobs, tuple) or not all(isinstance(knob, OwnKnob) for knob in self.knobs):
            yield f"knobs must be a tuple of OwnKnob; got {self.knobs!r}"
            return
        for knob in self.knobs:
            yield from knob.faults()
        names = [self.weight_knob, *(knob.name for knob in self.knobs)]
        yield from (f"knob {name} must stand once; got it twice" for name in set(names) if names.count(name) > 1)


@dataclass(frozen=True)
class OwnSource:
    """Where an own method comes from.

    Attributes:
        method: the text `module:ATTRIBUTE`.
        sha256: of the content of the module's file.
        folder: of the file on the driver's machine; on another node the file lies on Python's path.
    """

    method: str
    sha256: str
    folder: str

    @classmethod
    def find(cls, method: str) -> Self:
        """Find the file that `module:ATTRIBUTE` names, in the current folder first, then on Python's path.

        Raises:
            OwnMethodError: the text has another form, or there is no such file.
        """
        module, _, attribute = method.partition(":")
        if not (module.isidentifier() and attribute.isidentifier()):
            raise OwnMethodError(
                f"--method must read module:ATTRIBUTE, a Python file without .py and an OwnMethod in it; got {method!r}"
            )
        spec = _spec_of(module, str(Path.cwd()))
        if spec is None:
            raise OwnMethodError(
                f"--method {method}: a file {module}.py must be in the current folder or on PYTHONPATH; there is none"
            )
        path = Path(str(spec.origin))
        return cls(method, sha256(path.read_bytes()).hexdigest(), str(path.parent))

    @classmethod
    def entered(cls) -> Self | None:
        """Return the source that this process was given, None if it was given none."""
        text = os.environ.get(VARIABLE)
        return cls(**json.loads(text)) if text else None

    @property
    def text(self) -> str:
        """What the variable holds, for `entered` in another process."""
        return json.dumps(asdict(self))

    @property
    def path(self) -> Path:
        """The module's file on the driver's machine."""
        return Path(self.folder, f"{self.method.partition(':')[0]}.py")

    def load(self) -> OwnMethod:
        """Import the module and return its method, checked by itself.

        Raises:
            OwnMethodError: the file is not found or has changed, cannot be imported, or has no sound method.
        """
        name, _, attribute = self.method.partition(":")
        spec = _spec_of(name, self.folder)
        if spec is None or spec.loader is None:
            raise OwnMethodError(f"own method {self.method}: {name}.py is not on Python's path here")
        path = str(spec.origin)
        found = sha256(Path(path).read_bytes()).hexdigest()
        if found != self.sha256:
            raise OwnMethodError(
                f"own method {self.method}: {path} has changed since the study began; its SHA-256 was "
                f"{self.sha256[:12]}, now it is {found[:12]}; restore it, or begin a new study"
            )
        if name in sys.modules and getattr(sys.modules[name], "__file__", None) != path:
            raise OwnMethodError(f"own method {self.method}: another module has the name {name}; rename {path}")
        module = module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # the module is the user's own and may fail in any way
            del sys.modules[name]
            cause = " ".join(f"{type(error).__name__}: {error}".split())
            raise OwnMethodError(f"own method {self.method}: {path} cannot be imported: {cause}") from error
        if not hasattr(module, attribute):
            methods = [known for known, value in vars(module).items() if isinstance(value, OwnMethod)]
            raise OwnMethodError(
                f"own method {self.method}: {path} has no attribute {attribute}; its methods are "
                f"{', '.join(methods) or 'none'}"
            )
        method = getattr(module, attribute)
        if not isinstance(method, OwnMethod):
            raise OwnMethodError(
                f"own method {self.method}: {attribute} in {path} must be an OwnMethod; got {type(method).__name__}"
            )
        if faults := method.faults():
            raise OwnMethodError("\n".join(f"own method {self.method}: {fault}" for fault in faults))
        return method


def _spec_of(module: str, folder: str) -> ModuleSpec | None:
    """Return the spec of the file `module`.py, looked for in `folder` and then on Python's path."""
    PathFinder.invalidate_caches()
    spec = PathFinder.find_spec(module, [folder, *sys.path])
    return spec if spec and spec.origin and Path(spec.origin).name == f"{module}.py" else None


def _is_name(name: object) -> bool:
    return isinstance(name, str) and _NAME.fullmatch(name) is not None and not keyword.iskeyword(name)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
