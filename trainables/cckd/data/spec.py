"""A data set as named on the command line, `NAME[:key=value,...]`, with every option filled in."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.data.sets import DataSetInfo, OptionValue
from trainables.cckd.errors import DataError
from trainables.cckd.longtail import class_counts


@dataclass(frozen=True)
class DataSpec:
    """A data set's name and all of its options; `str()` gives the text that `parse_data` reads back."""

    name: str
    options: Mapping[str, OptionValue]

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={str(value).removesuffix('.0')}" for key, value in self.options.items())
        return f"{self.name}:{pairs}"

    @property
    def info(self) -> DataSetInfo:
        """The registry's entry for this set."""
        return DATA_SETS[self.name]

    @property
    def counts(self) -> tuple[int, ...]:
        """Training images of each class under these options, (C,)."""
        options = self.options
        return class_counts(
            int(options["n_max"]), len(self.info.class_names), float(options["ir"]), str(options["imb_type"])
        )


def parse_data(text: str) -> DataSpec:
    """Read `NAME` or `NAME:key=value,...`, filling gaps with the set's defaults.

    Raises:
        DataError: unknown name or option, an option given twice, a value of the wrong kind or range; `faults`
            lists all of them with the choices.
    """
    name, _, tail = text.strip().partition(":")
    if name not in DATA_SETS:
        close = difflib.get_close_matches(name, DATA_SETS, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise DataError(f"data set must be one of {', '.join(DATA_SETS)}; got {name!r}{hint}")
    info = DATA_SETS[name]
    options, faults = dict(info.options), []
    seen: set[str] = set()
    for item in tail.split(",") if tail else []:
        key, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not key or not value:
            faults.append(f"an option of {name} must read key=value; got {item!r}")
        elif key not in info.options:
            faults.append(f"{name} takes the options {', '.join(info.options)}; got {key!r}")
        elif key in seen:
            faults.append(f"{name}: option {key} must be given once; got it again as {item!r}")
        else:
            kind = type(info.options[key])
            try:
                options[key] = kind(value)
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                faults.append(f"{name}: option {key} must be {wanted}; got {value!r}")
        seen.add(key)
    spec = DataSpec(name, options)
    try:
        spec.counts  # noqa: B018 - computed for its faults
    except DataError as error:
        faults += [f"{name}: {fault}" for fault in error.faults]
    if faults:
        raise DataError(faults)
    return spec
