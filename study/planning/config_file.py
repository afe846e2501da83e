"""A study in one YAML file: the flags of `study.run` by their names, which `--config` reads and a study folder keeps.

Keys are the flags without `--`, with `_` for `-`. The flags of the teacher stand under `teacher`; `--set` and `--guard`
are mappings, lists are lists. `space` may hold a whole space, as a space file does, and `points` a list of points.
Paths are taken from the current folder, as on the command line.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from search_spaces import SearchSpace, SpaceError, get_space
from search_spaces.from_file import file_content
from search_spaces.yaml_text import read_yaml
from study.planning.flags import Option
from study.planning.plan import OPTIONS, StudyPlan
from study.planning.spaces import with_references
from study.strategy.objectives import FIRST
from trainables.cckd.errors import UsageError

#: The recipe decides these where they are not chosen, so a choice that equals the general default is still a choice.
_BY_RECIPE = ("teacher_views",)

#: Fields of the plan whose own fields are flags: the teacher.
_NESTED = {option.path[0] for option in OPTIONS.values() if len(option.path) > 1}

#: Flags of `study.run` that are no field of the plan and may stand in a file -> what they take.
_OTHERS = {"out": "one value", "name": "one value", "yes_long": "true or false"}


def read_config(path: Path) -> dict[str, Any]:
    """Return the content of a study's YAML file; its keys are not yet checked.

    Raises:
        UsageError: the file cannot be read, is no YAML, or holds no mapping.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise UsageError(f"--config must name a YAML file of keys and values (space, data, ...); got {path}")
    return content


def config_flags(content: Mapping[str, Any], path: Path, given: argparse.Namespace) -> list[str]:
    """Return the flags that a study's YAML file stands for.

    Args:
        content: of the file.
        path: of the file, for messages, and for a space that it holds.
        given: the arguments of the command line; its items of --set and --guard replace those of the file.

    Raises:
        UsageError: keys that are no flags, or values that no flag takes; all of them at once.
    """
    known = {_key(option): option for option in OPTIONS.values()}
    found: list[str] = []
    faults: list[str] = []
    for key, value in _flat(content):
        if (key == "space" and isinstance(value, Mapping)) or (key == "points" and isinstance(value, list)):
            found += [f"--{key}={path}"] if value or key == "space" else []
        elif key in known:
            of_line = getattr(given, known[key].key) or () if isinstance(value, Mapping) else ()
            replaced = {item.partition("=")[0] for item in of_line}
            flags = _flags(known[key], value, without=replaced)
            if flags is None:
                faults.append(f"{path}: {key} must be {_wanted(known[key])}; got {value!r}")
            found += flags or ()
        elif key in _OTHERS:
            flags = _other_flags(key, value)
            if flags is None:
                faults.append(f"{path}: {key} must be {_OTHERS[key]}; got {value!r}")
            found += flags or ()
        else:
            near = get_close_matches(key, [*known, *_OTHERS], n=1, cutoff=0.75)
            meant = f"; did you mean {near[0]}?" if near else ""
            faults.append(f"{path}: a key must be a flag of study.run without its dashes; got {key!r}{meant}")
    if faults:
        raise UsageError(faults)
    return found


def chosen_flags(choices: Mapping[str, Any]) -> list[str]:
    """Return the flags that ask for these fields of a plan; a value that is the flag's default needs none.

    Args:
        choices: field -> value; the name of a nested field may stand for all of it, a teacher's for the teacher.

    Raises:
        UsageError: values of a kind that no flag takes; all of them at once.
    """
    found: list[str] = []
    faults: list[str] = []
    for option, value in _chosen({key: _with_name(key, value) for key, value in choices.items()}):
        flags = _flags(option, value)
        if flags is None:
            faults.append(f"{option.spelled} must be {_wanted(option)}; got {value!r}")
        found += flags or ()
    if faults:
        raise UsageError(faults)
    return found


def config_text(plan: StudyPlan, space: SearchSpace) -> str:
    """Return the YAML file that starts this study again, wherever its space comes from.

    It has the value of every flag, those that are the defaults too, for another version may have other defaults. A flag
    without a value is left out, such as --split where the data set decides. A space or a recipe of ours stands there
    by its name.

    Args:
        plan: of the study.
        space: of the study, with the references of its recipe.
    """
    content: dict[str, Any] = {}
    for option, value in _valued(vars(plan) | {"second_objective": plan.second_objective or FIRST}):
        if option.key == "teacher_folds" and plan.teacher.targets != "out_of_fold":
            continue  # the flag is for those alone
        place = content if len(option.path) == 1 else content.setdefault(option.path[0], {})
        place[_key(option).rpartition(".")[2]] = list(value) if isinstance(value, tuple) else value
    if not _is_ours(plan, space):
        content["space"] = file_content(space)
    head = "# A study with the value of every flag; python -m study.run --config FILE starts it again.\n"
    return head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def _chosen(choices: Mapping[str, Any]) -> Iterator[tuple[Option, Any]]:
    """Yield every flag with the value that a field asks for, where it is not the flag's default."""
    for option, value in _valued(choices):
        if value != option.default or option.key in _BY_RECIPE:
            yield option, value


def _valued(choices: Mapping[str, Any]) -> Iterator[tuple[Option, Any]]:
    """Yield every flag for which a field has a value, as the flag takes it."""
    for option in OPTIONS.values():
        value: Any = choices
        for key in option.path:
            value = value.get(key) if isinstance(value, Mapping) else getattr(value, key, None)
        if value is not None:
            yield option, f"{FIRST},{value}" if option.key == "second_objective" and value != FIRST else value


def _flags(option: Option, value: Any, *, without: set[str] | frozenset[str] = frozenset()) -> list[str] | None:
    """Return a flag with a value; None where the value is of no kind that it takes. Its text is judged later."""
    if value is None or (value is False and option.is_kind(bool)):
        return []
    if value is True:
        return [option.spelled] if option.is_kind(bool) or option.flag.alone else None
    if option.is_kind(bool) or isinstance(value, bool):
        return None
    if option.is_kind(Mapping):
        if not isinstance(value, Mapping):
            return None
        return [f"{option.spelled}={key}={json.dumps(item)}" for key, item in value.items() if key not in without]
    if isinstance(value, list | tuple) and option.is_kind(tuple) and not option.is_words:
        return [f"{option.spelled}={json.dumps([*value], default=str)}"] if value else []
    if isinstance(value, list | tuple) and option.is_kind(tuple):
        is_default = not value and not option.default
        return [] if is_default else [f"{option.spelled}={','.join(map(str, value))}"]
    if isinstance(value, list | tuple):
        return None
    return None if isinstance(value, Mapping) else [f"{option.spelled}={value}"]


def _other_flags(key: str, value: Any) -> list[str] | None:
    """Return a flag of _OTHERS with a value; None where the value is of no kind that it takes."""
    if value is None or (value is False and key == "yes_long"):
        return []
    if key == "yes_long":
        return ["--yes-long"] if value is True else None
    return None if isinstance(value, bool | list | Mapping) else [f"--{key}={value}"]


def _flat(content: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield key and value; the keys of a nested field are `teacher.form` and so on, a name alone is `teacher.name`."""
    for key, value in content.items():
        if key in _NESTED:
            yield from ((f"{key}.{inner}", item) for inner, item in _with_name(key, value).items())
        else:
            yield str(key), value


def _with_name(key: str, value: Any) -> Any:
    """Return the value of a field; of a nested one, what is neither a mapping nor the field's own is its name."""
    return value if key not in _NESTED or isinstance(value, Mapping) or is_dataclass(value) else {"name": value}


def _key(option: Option) -> str:
    """Return the key of a flag in the file."""
    return ".".join(option.path) if len(option.path) > 1 else option.spelled.removeprefix("--").replace("-", "_")


def _wanted(option: Option) -> str:
    if option.is_kind(bool):
        return "true or false"
    if option.is_kind(Mapping):
        return "a mapping"
    return "a list" if option.is_kind(tuple) else "one value"


def _is_ours(plan: StudyPlan, space: SearchSpace) -> bool:
    """Return whether the name of the space names this space in every installation of this version."""
    try:
        return with_references(get_space(plan.space), plan.recipe_settings) == space
    except SpaceError:
        return False
