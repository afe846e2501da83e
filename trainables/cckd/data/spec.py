"""A data set as named on the command line, `NAME[:key=value,...]`, with every option filled in.

A value that holds a comma stands in double quotes, `image_folder:path="/photos/birds, small"`.
"""

import difflib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.cckd.data.images.sets import DataSetInfo, OptionValue
from trainables.cckd.data.registry import DATA_SETS
from trainables.cckd.errors import DataError
from trainables.cckd.long_tail import class_counts

#: An option has the same meaning in every set. Paths are made absolute, so that a study can be resumed from another
#: folder.
_PATHS = ("path", "root", "lists", "train", "val", "test")
_CHOICES = {"groups": ("counts", "ir100")}
#: Stand-in where only the files know the classes: whether a tail can be cut does not depend on their number.
_ANY_CLASSES = (0, 1)
#: An option up to its comma, and a value in double quotes, which is a text of JSON.
_QUOTED = re.compile(r'"(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*"')
_ITEM = re.compile(rf"[^,=]*(?:=\s*(?:{_QUOTED.pattern}\s*(?=,|\Z)|[^,]*))?")
_LIMITS = {"size": (8, 1024), "crop_scale": (0.01, 1), "holdout": (1, 1_000_000)}


@dataclass(frozen=True)
class DataSpec:
    """A data set's name and all of its options; `str()` returns the text that `parse_data` reads back."""

    name: str
    options: Mapping[str, OptionValue]

    def __str__(self) -> str:
        pairs = ",".join(f"{key}={_text(value)}" for key, value in self.options.items() if value != "")
        return f"{self.name}:{pairs}"

    @property
    def info(self) -> DataSetInfo:
        """The registry's entry of this set."""
        return DATA_SETS[self.name]

    @property
    def n_holdout(self) -> int:
        """Images per class that the split mode `holdout` takes from the training pool."""
        return int(self.options.get("holdout", self.info.n_holdout))

    def tail(self, n_classes: int) -> tuple[int, ...] | None:
        """Return the number of training images to keep of each class, (C,), or None where every image is kept.

        Raises:
            DataError: options outside their domain; lists every fault.
        """
        options = self.options
        if "n_max" not in options:
            return None
        n_max, ir, imb_type = int(options["n_max"]), float(options["ir"]), str(options["imb_type"])
        if n_max == self.info.options["n_max"] == 0:
            class_counts(n_classes, n_classes, 1.0 if ir >= 1 else ir, imb_type)  # raises the faults of ir and imb_type
            if ir != 1:
                raise DataError(
                    f"ir needs n_max, the images of the first class, to cut a long tail; got only ir={ir:g}"
                )
            return None
        return class_counts(n_max, n_classes, ir, imb_type)

    @property
    def is_cut(self) -> bool:
        """Whether a long tail is cut from a pool; otherwise all images are kept, and there is no other subset."""
        return self.tail(len(self.info.class_names or _ANY_CLASSES)) is not None

    @property
    def of_imagenet(self) -> bool:
        """Whether its images and labels are ImageNet-1k's: the set says so, or the paths of a user's own set do."""
        paths = " ".join(str(self.options[key]) for key in self.info.required)
        return self.info.of_imagenet or "imagenet" in paths.lower()

    @property
    def group_counts(self) -> tuple[int, ...] | None:
        """The class counts that define the groups, where these are not the training set's own; else None."""
        return class_counts(500, 100, 100) if self.options.get("groups") == "ir100" else None


def parse_data(text: str) -> DataSpec:
    """Read `NAME` or `NAME:key=value,...`, filling gaps with the set's defaults.

    Raises:
        DataError: an unknown name or option, an option that is missing or given twice, or a wrong value; `faults`
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
    for item in _items(tail):
        key, equals, value = (part.strip() for part in item.partition("="))
        value = _unquoted(value)
        if not equals or not key or not value:
            comma = seen and item and not equals
            hint = f'; a value with a comma stands in double quotes, {name}:KEY="a,b"' if comma else ""
            faults.append(f"an option of {name} must read key=value; got {item!r}{hint}")
        elif key not in info.options:
            faults.append(f"{name} takes the options {', '.join(info.options)}; got {key!r}")
        elif key in seen:
            faults.append(f"{name}: option {key} must be given once; got it again as {item!r}")
        else:
            kind = type(info.options[key])
            try:
                options[key] = os.path.abspath(os.path.expanduser(value)) if key in _PATHS else kind(value)
            except ValueError:
                wanted = "a whole number" if kind is int else "a number"
                faults.append(f"{name}: option {key} must be {wanted}; got {value!r}")
        seen.add(key)
    spec = DataSpec(name, options)
    faults += [f"{name}: {fault}" for fault in _domain_faults(spec, seen)]
    if faults:
        raise DataError(faults)
    return spec


def _items(tail: str) -> list[str]:
    """Split options at their commas; a comma inside double quotes belongs to the value."""
    items: list[str] = []
    place = 0
    while tail and place <= len(tail):
        found = _ITEM.match(tail, place)
        assert found is not None, "an empty text is an item too"
        items.append(found.group())
        place = found.end() + 1
    return items


def _unquoted(value: str) -> str:
    """Return a value without the double quotes that its commas asked for."""
    if not _QUOTED.fullmatch(value):
        return value
    return str(json.loads(value))


def _domain_faults(spec: DataSpec, given: set[str]) -> list[str]:
    options = spec.options
    faults = [f"option {key} must be given" for key in spec.info.required if key not in given]
    for key, choices in _CHOICES.items():
        if key in options and options[key] not in choices:
            faults.append(f"option {key} must be one of {', '.join(choices)}; got {options[key]!r}")
    for key, (least, most) in _LIMITS.items():
        if key in options and not least <= float(options[key]) <= most:
            faults.append(f"option {key} must be from {least} to {most}; got {_text(options[key])}")
    try:
        spec.tail(len(spec.info.class_names or _ANY_CLASSES))
    except DataError as error:
        faults += error.faults
    return faults


def _text(value: OptionValue) -> str:
    """Return the value as `parse_data` reads it back."""
    text = str(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if "," in text or text != text.strip() or text[:1] == '"' else text
