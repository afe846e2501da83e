"""Flags that derive from the fields of the plan: parsers are built from them, texts are read by them.

A field's type and default are pydantic's, and a `Flag` among its annotations holds the rest: help, bounds, choices. The
fields of a nested dataclass are flags of their own, `--teacher-form` for `teacher.form`, described by pydantic's Field.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from types import UnionType
from typing import Any, Literal, Self, get_args, get_origin, get_type_hints

from annotated_types import Ge, GroupedMetadata, Gt, Lt
from pydantic.fields import FieldInfo

from study.terminal.faults import Faults

#: No flag takes a larger number: seeds that derive from --seed must fit the 64 bits of a database's integers.
_LARGEST = 2**32 - 1


@dataclass(frozen=True)
class Flag(GroupedMetadata):
    """All that the command line and pydantic need to know of a field, beside its type and default.

    Attributes:
        metavar: placeholder of the value in the help; the last word of the field's name where empty.
        help: what the flag is for.
        ge: smallest number.
        gt: number that every number is above, in place of `ge`.
        lt: number that every number is below.
        default: the default in words, where it depends on other choices.
        choices: the words that it takes, where the type does not list them.
        auto: whether `auto` is a choice too, which the study resolves.
        words: words that stand for numbers.
        alone: the value of a flag that is given without one; empty where it needs one.
        name: how the flag is spelled, where not like the field.
        group: heading of the flags from this one on.
    """

    metavar: str = ""
    help: str = ""
    ge: int | None = None
    gt: int | None = None
    lt: int | None = None
    default: str = ""
    choices: tuple[str, ...] = ()
    auto: bool = False
    words: tuple[tuple[str, int], ...] = ()
    alone: str = ""
    name: str = ""
    group: str = ""

    def __iter__(self) -> Iterator[object]:
        """The bounds, as pydantic reads them."""
        bounds = ((Ge, self.ge), (Gt, self.gt), (Lt, self.lt))
        return iter([bound(number) for bound, number in bounds if number is not None])

    def allows(self, number: float) -> bool:
        """Whether the number lies within the bounds, and below what a database holds."""
        low = number > self.gt if self.gt is not None else number >= (self.ge or 0)
        return low and (number <= _LARGEST if self.lt is None else number < self.lt)

    @property
    def bounds_text(self) -> str:
        """The bounds in words, to stand behind 'a number'."""
        low, high = (f"from {self.ge}", "to") if self.gt is None else (f"above {self.gt}", "and at most")
        return f"{low} {high} {_LARGEST}" if self.lt is None else f"{low} to below {self.lt}"


@dataclass(frozen=True)
class Option:
    """One flag: the field at `path` of the plan, e.g. ('teacher', 'form'), and its default, None where it has none."""

    path: tuple[str, ...]
    kind: Any
    flag: Flag
    default: Any

    @property
    def key(self) -> str:
        """The key of the field among parsed arguments, e.g. 'teacher_form'."""
        return "_".join(self.path)

    @property
    def spelled(self) -> str:
        """The flag itself; the `name` of a nested field is what the nested object is called by."""
        words = self.path[:-1] if len(self.path) > 1 and self.path[-1] == "name" else self.path
        return f"--{self.flag.name or '-'.join(words).replace('_', '-')}"

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that the flag takes; none where it takes any text or a number."""
        listed = self.flag.choices or (get_args(self.kind) if self.is_kind(Literal) else ())
        return ("auto", *listed) if self.flag.auto else listed

    def continued(self, **changes: Any) -> Self:
        """The flag of a command that continues a study: the plan is its default, and nothing is left to resolve."""
        return replace(self, flag=replace(self.flag, **changes, auto=False, default="as planned"))

    def add_to(self, parser: argparse._ActionsContainer) -> None:
        """Add the flag to a parser."""
        text = self.flag.help
        if self.is_kind(bool):
            parser.add_argument(self.spelled, dest=self.key, action="store_true", default=None, help=text)
            return
        if self.choices:
            text = f"{', '.join(self.choices)}: {text}"
        if self.flag.default or "(default: " not in text:
            text = f"{text.partition(' (default: ')[0]} (default: {self.flag.default or self._shown_default()})"
        metavar = self.flag.metavar or self.path[-1].rpartition("_")[2].upper()
        more: dict[str, Any] = {"metavar": metavar, "help": text.replace("%", "%%")}
        if self.is_kind(Mapping):
            more |= {"action": "append"}
        elif self.flag.alone:
            more |= {"nargs": "?", "const": self.flag.alone}
        parser.add_argument(self.spelled, dest=self.key, **more)

    def read(self, text: Any, faults: Faults) -> Any:
        """Return the value of a given text; None, and a fault, where the type, the bounds or the choices forbid it."""
        if not isinstance(text, str):
            return text
        if self.choices and text not in self.choices:
            faults.add(f"{self.spelled} must be one of {', '.join(self.choices)}; got {text!r}")
            return None
        if self.is_words:
            return tuple(dict.fromkeys(text.split(",")))
        if text in dict(self.flag.words):
            return dict(self.flag.words)[text]
        kind = next((kind for kind in (int, float) if self.is_kind(kind)), None)
        return text if kind is None else self._number(kind, text, faults)

    def _number(self, kind: Callable[[str], float], text: str, faults: Faults) -> float | None:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if self.flag.allows(value):
            return value
        what = "a whole number" if kind is int else "a number"
        words = "".join(f", or {word}" for word, _ in self.flag.words)
        faults.add(f"{self.spelled} must be {what} {self.flag.bounds_text}{words}; got {text!r}")
        return None

    def is_kind(self, kind: Any) -> bool:
        """Whether the field is of this type, or of this type or None."""
        parts = get_args(self.kind) if isinstance(self.kind, UnionType) else (self.kind,)
        return any(kind in (part, get_origin(part)) for part in parts)

    @property
    def is_words(self) -> bool:
        """Whether the flag takes words with commas between them."""
        return self.is_kind(tuple) and str in get_args(self.kind)

    def _shown_default(self) -> str:
        if self.is_kind(float):
            return f"{self.default:g}"
        if self.default in (None, (), {}):
            return "none"
        return ", ".join(self.default) if isinstance(self.default, tuple) else str(self.default)


def options_of(model: type, above: tuple[str, ...] = ()) -> Iterator[Option]:
    """Every flag of a dataclass whose fields are annotated, in the order of the fields; fields without are left out."""
    hints = get_type_hints(model, include_extras=True)
    for item in fields(model):
        info = FieldInfo.from_annotation(hints[item.name])
        flag = next((extra for extra in info.metadata if isinstance(extra, Flag)), None)
        if is_dataclass(info.annotation):
            yield from options_of(info.annotation, (*above, item.name))
        elif above:
            bounds: dict[str, Any] = {
                name: getattr(bound, name)
                for name, kind in (("ge", Ge), ("lt", Lt))
                for bound in info.metadata
                if isinstance(bound, kind)
            }
            flag = Flag(help=info.description or "", **bounds)
        if flag is not None:
            default = item.default_factory() if item.default_factory is not MISSING else item.default
            known = "auto" if flag.auto else None if default is MISSING else default
            yield Option((*above, item.name), info.annotation, flag, known)
