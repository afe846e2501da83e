"""`--warm-start`: the sampler of this study learns from the complete trials of another study, or of another tool.

study.db keeps them in an attribute of the search and not among its trials. So `--trials`, the numbering, the tables and
the report count the trials of this study alone. Only a sampler that learns can start warm. Its evenly spread points
are none of the other study's, which would come a second time under the same seed: a Sobol sequence goes on, and a Latin
hypercube is another one.

Of another tool it learns through the file that `study.ingest` has written. The study folder keeps a copy of that file.

The other folder is only read: nothing in it is run, unpickled or written, and a manifest that was altered or a
database that is damaged is refused.
"""

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.faults import contains
from search_spaces.knob import KnobValue
from search_spaces.space import SearchSpace
from study import schema
from study.planning.plan import StudyPlan
from study.planning.points.evidence_file import EvidenceFile, read_evidence
from study.strategy.evidence import NUMBERS_FROM, Evidence, n_behind
from study.strategy.search_settings import SettingsError
from trainables.cckd.config import reference_of, training_settings
from trainables.cckd.data.load import LongTailData
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.errors import UsageError
from trainables.cckd.files.sealed import unsealed

if TYPE_CHECKING:
    from study.records.trial_rows import TrialRow

#: Fields of the plan that decide what a configuration scores, beside data and space.
_SAME = ("split", "fixed_knobs")
#: Fields of the teacher that do not: the paths of its files.
_ANY_TEACHER = ("weights", "embeddings")


@dataclass(frozen=True)
class WarmStart:
    """Another study's name, its usable trials, and how many of its complete trials are left out, by reason.

    `file` is the evidence of another tool; None for a study of ours.
    """

    study: str
    evidence: tuple[Evidence, ...]
    left_out: Mapping[str, int]
    file: EvidenceFile | None = None

    def described(self) -> dict[str, Any]:
        """The manifest's entry."""
        left_out, behind = dict(self.left_out), n_behind(self.evidence)
        origin = {"source": dict(self.file.source)} if self.file else {}
        return {"study": self.study, "trials": len(self.evidence), "left_out": left_out, "behind": behind, **origin}

    def __str__(self) -> str:
        reasons = "".join(f"; {n} left out: {why}" for why, n in self.left_out.items())
        word = "; that they were measured as here is your word" if self.file else ""
        return f"{len(self.evidence)} trials of {self.study}{reasons}{word}"


def read_warm_start(
    plan: StudyPlan, space: SearchSpace, data: LongTailData, store: ImageStore | None
) -> WarmStart | None:
    """Return the trials that the study starts warm from; None where it starts cold.

    Args:
        plan, space, data: of the study.
        store: where it reads its images; None for the originals.

    Raises:
        UsageError: the folder is no intact study, or its data, image store, objective or space do not match; names all
            reasons.
    """
    if plan.warm_start is None:
        return None
    from study.records.ledger import Ledger  # it imports SQLAlchemy, which a study without a warm start plans without

    folder = Path(plan.warm_start)
    if folder.is_file():
        return _ingested(folder, plan, space)
    manifest, theirs, other = _opened(folder)
    found = _mismatches(manifest, theirs, other, plan, space, data)
    there, here = schema.store_recipe(manifest["data"]), store.recipe if store else None
    if there != here:
        found.append(f"its images must come from {schema.images_of(here)}; got {schema.images_of(there)}")
    faults = [f"--warm-start {folder}: {fault}" for fault in found]
    if faults:
        raise UsageError(faults)
    try:
        with closing(Ledger.read(folder / schema.DATABASE)) as ledger:
            complete = [row for row in ledger.rows() if row.state == "COMPLETE"]
    except SettingsError as error:
        raise UsageError(f"--warm-start: {error}") from error
    reasons = {row.number: _unfit(row.params, space) or _uncounted(row, data) for row in complete}
    evidence = tuple(
        Evidence(_behind(manifest) + row.number, dict(row.params), row.val)
        for row in complete
        if reasons[row.number] is None and row.val is not None
    )
    return _usable(folder, WarmStart(str(manifest["name"]), evidence, Counter(filter(None, reasons.values()))))


def _ingested(path: Path, plan: StudyPlan, space: SearchSpace) -> WarmStart:
    """Return the trials of another tool, from the file that `study.ingest` wrote."""
    file = read_evidence(path)
    faults = _other_space(file.space, space)
    if plan.guards or plan.second_objective:
        faults.append("it has one number per trial, and --guard and --objectives need counts per class")
    if faults:
        raise UsageError([f"--warm-start {path}: {fault}" for fault in faults])
    reasons = [_unfit(trial.params, space) for trial in file.evidence]
    fitting = tuple(trial for trial, reason in zip(file.evidence, reasons, strict=True) if reason is None)
    return _usable(path, WarmStart(file.name, fitting, Counter(filter(None, reasons)), file))


def _usable(place: Path, warm: WarmStart) -> WarmStart:
    """Return a warm start that has a trial.

    Raises:
        UsageError: it has none.
    """
    if not warm.evidence:
        why = "; ".join(f"{n}: {reason}" for reason, n in warm.left_out.items()) or "it has no complete trial"
        raise UsageError(f"--warm-start {place} has no trial that this study could use ({why})")
    return warm


def _opened(folder: Path) -> tuple[dict[str, Any], StudyPlan, SearchSpace]:
    if not (folder / schema.MANIFEST).is_file() or not (folder / schema.DATABASE).is_file():
        needed = f"{schema.MANIFEST} and {schema.DATABASE}"
        raise UsageError(f"--warm-start must be a study folder, with {needed}, or a file of study.ingest; got {folder}")
    if strays := schema.links_out(folder):
        raise UsageError(f"--warm-start {folder}: links lead out of it: {', '.join(strays[:5])}")
    try:
        manifest = unsealed((folder / schema.MANIFEST).read_bytes(), required=True)
        space = SearchSpace.from_json(manifest["space"])
        if fault := schema.training_fault(manifest["schema"]):
            raise UsageError(f"--warm-start {folder}: {schema.MANIFEST} {fault}")
        plan = StudyPlan.from_json(manifest["plan"])
        str(manifest["data"]["sha256"])
        if not 0 <= _behind(manifest) < NUMBERS_FROM:
            raise ValueError(f"its own warm start is odd: {manifest['warm_start']!r}")
    except (OSError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(
            f"--warm-start {folder}: {schema.MANIFEST} must be as a study wrote it: {type(error).__name__}: {error}"
        ) from error
    return manifest, plan, space


def _behind(manifest: Mapping[str, Any]) -> int:
    """Trials of a third study, from which the other study itself started warm."""
    before = manifest.get("warm_start")
    return int(before["behind"]) if before else 0


def _mismatches(
    manifest: Mapping[str, Any],
    theirs: StudyPlan,
    other: SearchSpace,
    plan: StudyPlan,
    space: SearchSpace,
    data: LongTailData,
) -> list[str]:
    """Why the value of a configuration in the other study says nothing about this study."""
    faults = []
    if manifest["data"]["sha256"] != data.sha256:
        faults.append(f"its data are others: {theirs.data!r} there, {plan.data!r} here")
    there, here = _decisive(theirs), _decisive(plan)
    if manifest["data"].get("split") == data.split:  # one of the two may have named the default
        there["split"] = here["split"]
    faults += [f"its {key} must be {here[key]!r}; got {there[key]!r}" for key in here if there[key] != here[key]]
    return faults + _other_space(other, space)


def _other_space(other: SearchSpace, space: SearchSpace) -> list[str]:
    """Why a point of the other space says nothing about this one; ranges may differ."""
    faults = []
    if other.method != space.method:
        faults.append(f"its space must search method {space.method}; got {other.method}")
    if dict(other.fixed) != dict(space.fixed):
        faults.append(f"its space must fix {dict(space.fixed)}; got {dict(other.fixed)}")
    if set(other.distributions) != set(space.distributions):
        faults.append(f"its space must search {', '.join(space.distributions)}; got {', '.join(other.distributions)}")
    return faults


def _decisive(plan: StudyPlan) -> dict[str, Any]:
    """The choices of a plan that decide what a configuration scores, beside data and space."""
    teacher = {f"teacher_{name}": value for name, value in asdict(plan.teacher).items() if name not in _ANY_TEACHER}
    training = {name: plan.training.get(name, reference_of(name)) for name in training_settings() if name != "seed"}
    return {key: getattr(plan, key) for key in _SAME} | training | teacher


def _unfit(params: Mapping[str, KnobValue], space: SearchSpace) -> str | None:
    """Return why the knobs of a complete trial are no point of this space, None where they are one."""
    point: dict[str, KnobValue] = {}
    for knob in space.tunable:
        active = space.is_active(knob.name, point)
        if active != (knob.name in params):
            return "other knobs are there under this space's conditions"
        if active and not contains(knob.distribution, params[knob.name]):
            return "outside this space's ranges"
        if active:
            point[knob.name] = params[knob.name]
    return None


def _uncounted(trial: "TrialRow", data: LongTailData) -> str | None:
    if trial.val is None or len(trial.val.seen) != len(data.counts):
        return "no counts on D_val"
    return None
