"""YAML as plain data only: no objects, no aliases, no repeated keys."""

import re
from pathlib import Path
from typing import Any

import yaml

from search_spaces.knob import SpaceError

#: A space with a hundred knobs has 40 kB; a much larger file is no space.
_LARGEST_BYTES = 2**18


class _PlainLoader(yaml.SafeLoader):
    """The safe loader, which reads 1e-5 as a number like YAML 1.2, and notes repeated keys."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.faults: list[str] = []

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse aliases: a few lines of them can stand for gigabytes."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not taken", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Note every repeated key; YAML itself would silently keep the last value."""
        seen = set()
        for key_node, _ in node.value:
            key = str(key_node.value)
            if key in seen:
                self.faults.append(f"line {key_node.start_mark.line + 1}: {key!r} is given twice")
            seen.add(key)
        return super().construct_mapping(node, deep)


_PlainLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+\Z"), list("-+0123456789")
)


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file.

    Raises:
        SpaceError: the file is missing, too large, no text or no YAML, or it has an alias or a repeated key.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise SpaceError(f"{path}: a YAML file has at most {_LARGEST_BYTES} bytes; got {path.stat().st_size}")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpaceError(f"{path}: cannot be read as text: {error}") from error
    loader = None
    try:
        loader = _PlainLoader(text)
        found = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise SpaceError(f"{path}: not YAML: {line}{error.problem}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SpaceError(f"{path}: not YAML: {type(error).__name__}: {str(error).splitlines()[0]}") from error
    finally:
        if loader is not None:
            loader.dispose()
    if loader.faults:
        raise SpaceError([f"{path}: {fault}" for fault in loader.faults])
    return found
