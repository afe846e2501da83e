"""`--points FILE`: the user's own points, which a study trains before its sampler chooses any.

A YAML file holds a list of points, each a mapping of knobs to values; a study's YAML file holds it under `points`. A
CSV file has one column per knob and one row per point; the field of a knob that does not exist at the point is empty.

A point names every knob that exists at it. A knob that is left out does not take its reference value: the references of
training settings are the recipe's, so the same file would mean other points under another recipe.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from search_spaces import SearchSpace
from search_spaces.knob import KnobValue
from search_spaces.yaml_text import read_yaml
from study.planning.points.csv_rows import read_csv
from study.planning.points.knob_values import DIGITS, point_of, rounded, unknown_knobs
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError

_SUFFIXES = (".yaml", ".yml", ".csv")

#: Points by the place where they stand: '--points: point 2', or the file and the line.
PlacedPoints = dict[str, dict[str, KnobValue]]


def read_points(text: str, space: SearchSpace, faults: Faults) -> PlacedPoints:
    """Return the points that `--points` names, in order; what is wrong with them goes to `faults`.

    Args:
        text: a file, or a list of points as JSON, by which `run_study` hands them on.
        space: the space that they must be points of.
        faults: takes one sentence per fault, with the file and the place in it.
    """
    found: PlacedPoints = {}
    with faults.gather():
        for place, raw in _raw_points(text, space):
            point, wrong = point_of(space, raw)
            faults.found += [f"{place}: {fault}" for fault in wrong]
            if not wrong:
                found[place] = point
        first: dict[Any, str] = {}
        for place, point in found.items():
            before = first.setdefault(rounded(point), place)
            if before != place:
                faults.add(
                    f"{place} is {before.rpartition(': ')[2]} again, to {DIGITS} significant digits; leave it out"
                )
    return found


def check_points(
    points: PlacedPoints, space: SearchSpace, trials: int, *, with_reference: bool, faults: Faults
) -> None:
    """Compare the points with what else a study trains first, and with its number of trials.

    Args:
        points: of `read_points`.
        space: with the references of the study's recipe.
        trials: of the study, in all.
        with_reference: whether the reference point is its first trial.
        faults: takes what is wrong.
    """
    reference = rounded(space.reference_point())
    for place, point in points.items():
        if with_reference and rounded(point) == reference:
            faults.add(f"{place} is the reference point, which is trial 0 of every study; leave it out")
    n_first = len(points) + with_reference
    if points and trials < n_first:
        beside = " and the reference point" if with_reference else ""
        faults.add(
            f"--trials must be at least {n_first}, for {len(points)} of --points{beside} count among them; got {trials}"
        )


def _raw_points(text: str, space: SearchSpace) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place and the content of each point.

    Raises:
        UsageError: the file cannot be read, or holds no list of points.
    """
    path = Path(os.path.expanduser(text))
    if path.suffix not in _SUFFIXES:
        try:
            content = json.loads(text)
        except ValueError:
            raise UsageError(f"--points must be a file that ends in {', '.join(_SUFFIXES)}; got {text!r}") from None
        yield from _listed("--points", content)
        return
    if path.suffix != ".csv":
        content = read_yaml(path)
        is_study = isinstance(content, dict) and "points" in content
        yield from _listed(str(path), content["points"] if is_study else content)
        return
    columns, rows = read_csv(path)
    if unknown := unknown_knobs(space, columns):
        raise UsageError([f"{path}: {fault}" for fault in unknown])
    if not rows:
        raise UsageError(f"{path}: one row per point is needed; got none")
    yield from ((f"{path}: line {row.line}", row.fields) for row in rows)


def _listed(name: str, content: object) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if not isinstance(content, list) or not content:
        raise UsageError(f"{name}: points are a list of mappings from knobs to values; got {_shown(content)}")
    for k, raw in enumerate(content, start=1):
        if not isinstance(raw, dict):
            raise UsageError(f"{name}: point {k} must be a mapping from knobs to values; got {_shown(raw)}")
        yield f"{name}: point {k}", raw


def _shown(content: object) -> str:
    return repr(content)[:80]
