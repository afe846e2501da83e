"""The file that `study.ingest` writes and `--warm-start` reads: trials of another tool as evidence, and their origin.

It carries a hash of its content, so that what a study has learned from is what was ingested. What the file cannot show
is that the trials were measured as those of the study: on the same data, with the same student, epochs and teacher.
That is the user's word.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces import SearchSpace
from study.strategy.evidence import Evidence
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import sealed, unsealed

if TYPE_CHECKING:
    from study.planning.points.foreign_trials import ForeignStudy
    from study.planning.points.ingestion import Ingested

_KIND, _SCHEMA = "evidence of study.ingest", 1


@dataclass(frozen=True)
class EvidenceFile:
    """Evidence with its origin: `source` has the keys file, sha256, study, direction, value_is, set and renamed."""

    space: SearchSpace
    evidence: tuple[Evidence, ...]
    source: Mapping[str, Any]
    content: bytes

    @property
    def name(self) -> str:
        """The source in words."""
        study = self.source.get("study")
        return f"{self.source['file']}, study {study!r}" if study else str(self.source["file"])


def evidence_text(
    source: "ForeignStudy",
    space: SearchSpace,
    found: "Ingested",
    *,
    value_is: str,
    fixed: Mapping[str, str],
    renamed: Mapping[str, str],
    made: Mapping[str, str],
) -> str:
    """Return the content of the file: all that was taken, all that was left out and why, and how it was asked for.

    Args:
        source: the trials as they stand there.
        space: the space that they are points of.
        found: what has become of them.
        value_is: what their values are.
        fixed: knobs that the source does not have, with their values.
        renamed: names in the source -> knobs.
        made: the command, the version and the time.
    """
    origin = {name: getattr(source, name) for name in ("file", "sha256", "study", "direction")}
    content = {
        "kind": _KIND,
        "schema": _SCHEMA,
        "made": dict(made),
        "source": {**origin, "value_is": value_is, "set": dict(fixed), "renamed": dict(renamed)},
        "space": space.to_json(),
        "trials": [{"number": one.number, "params": one.params, "value": one.accuracy} for one in found.evidence],
        "left_out": [{"number": number, "reason": reason} for number, reason in found.left_out],
        "ignored": dict(found.ignored),
    }
    return json.dumps(sealed(content), indent=1) + "\n"


def read_evidence(path: Path) -> EvidenceFile:
    """Read what `evidence_text` has made.

    Raises:
        UsageError: the file cannot be read, or is not as `study.ingest` wrote it.
    """
    try:
        content = path.read_bytes()
        plain = unsealed(content, required=True)
        if (plain["kind"], plain["schema"]) != (_KIND, _SCHEMA):
            raise ValueError(f"it is of kind {plain['kind']!r}, layout {plain['schema']!r}")
        space = SearchSpace.from_json(plain["space"])
        trials = [Evidence(one["number"], dict(one["params"]), None, float(one["value"])) for one in plain["trials"]]
        source = dict(plain["source"])
        str(source["file"])
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"--warm-start {path}: must be a study folder, or a file as study.ingest wrote it: "
            f"{type(error).__name__}: {error}"
        ) from error
    return EvidenceFile(space, tuple(trials), source, content)
