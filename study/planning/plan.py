"""The plan of a study: every choice of the command line, resolved, frozen, and kept in study.json.

Each field says all about itself once: type, default, bounds, choices and help. The flags of the commands, their texts'
readers and the JSON of the manifest derive from it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from study.planning.flags import Flag, Option, options_of
from study.schema import BEST, COMPARED, TUNED_SUFFIX, PhaseName, tuning_phase
from study.strategy.guards import GROUPS
from study.strategy.objectives import N_CONFIRMED, SECOND
from study.strategy.pruners import PRUNERS
from study.strategy.samplers import SAMPLERS
from study.strategy.stopping import STOPPINGS, TRIALS
from trainables.cckd.config import training_settings
from trainables.cckd.methods import LADDER, METHODS, parts_of
from trainables.cckd.precision import PRECISIONS, Precision, default_precision
from trainables.cckd.recipe import Augment
from trainables.cckd.records import rungs
from trainables.cckd.teacher.spec import TeacherSpec

if TYPE_CHECKING:
    from search_spaces import SearchSpace  # imports optuna, which `--help` need not load

LOCAL, AUTO = "local", "auto"
ADDRESSES = "local, auto or HOST:PORT"

#: The check of the training length trains the entries of the report's claim at so many times the epochs.
CHECK_FACTOR = 2

#: The ablation puts back at most so many of the knobs that the search shows to matter, and trains best1 on so many
#: times the seeds of each change.
MOST_PUT_BACK, OF_BEST = 4, 2

#: Samplers where none is asked for: one that spreads all trials evenly, and one that learns, where that is the point.
SAMPLER = ("lhs", "lhs+tpe")

#: Defaults that depend on whether there is a second objective: with one of them, and with two.
FINALISTS = (5, 0)
CONFIRM_TOP = (1, N_CONFIRMED)

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
#: The methods that can be tuned beside the studied one; `search_spaces.registry` has a space of each. It is not
#: imported here, since it loads Optuna before the help is shown.
BASELINES = tuple(method for method in METHODS if method != "acckd")

_BY_OBJECTIVES = "{}; {} with two objectives".format


def _in_order(rungs: tuple[str, ...]) -> tuple[str, ...]:
    """Put the rungs into the order of METHODS, with the compared baselines; unknown names stay last, to be refused."""
    wanted = {*rungs, *COMPARED}
    return (*(method for method in METHODS if method in wanted), *(name for name in rungs if name not in METHODS))


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class StudyPlan:
    """All that decides a study, beside the space. Building one checks types and bounds.

    A field without a `Flag` follows from other choices: `n_sobol` from the sampler, `recipe_settings` from the recipe,
    `fallback_from` and `fallback_reason` from a default data set that cannot be loaded. `ablation_knobs` (put back too)
    and `ablation_on_test` (where the ablation is judged) are asked for by `study.ablate`. A `precision` of None is
    decided before the first trial, when steps have been timed on the machines that train.
    """

    # fmt: off
    space: Annotated[str, Flag("S", "search space: a name, a FILE.yaml or module:ATTRIBUTE",
        group="what is studied")] = "acckd_full"
    own_method: Annotated[str | None, Flag("module:ATTRIBUTE", "your own method, an OwnMethod in a Python file; it "
        "joins the ladder and has a space of its name", name="method")] = None
    data: Annotated[str, Flag("NAME[:key=value,...]", "long-tailed data set",
        default="fashion_mnist_lt; digits_lt where that cannot be loaded")]
    data_root: Annotated[str, Flag("DIR", "folder of the data sets")] = "data"
    split: Annotated[str | None, Flag("MODE", "how D_val is split off: holdout, split_test, own or paper",
        default="the data set's")] = None
    skip_corrupt: Annotated[bool, Flag("", "leave out image files that are missing or broken, and count them")] = False
    data_path: Annotated[Literal["auto", "resident", "streamed"], Flag("P",
        "image files are held in memory, decoded once; or read again for each use; auto goes by their size")] = "auto"
    image_store: Annotated[int | None, Flag("PX", "streamed images are read from a store of small ones with a shorter "
        "side of PX pixels, made once under the data root; none reads the originals", ge=0, words=(("none", 0),),
        default="256, or what the inputs need; for streamed images only")] = None
    teacher: TeacherSpec = field(default_factory=TeacherSpec)
    recipe: Annotated[str | None, Flag("NAME", "how students are trained: a recipe of the data set, field or quick",
        default="the data set's first")] = None
    allow_contaminated_teacher: Annotated[bool, Flag("", "take a teacher that was trained on ImageNet's labels for "
        "a set of ImageNet's images; every table is stamped")] = False
    student: Annotated[str, Flag("NAME", "the student: resnet8_cifar or a model of timm", default="the recipe's")]
    augment: Annotated[Augment | None, Flag("A", "augmentation that only the student sees, on top of the view that it "
        "shares with the teacher", choices=get_args(Augment), default="the recipe's")] = None
    overrides: Annotated[Mapping[str, Any], Flag("KEY=VALUE", "fix a knob or training setting, e.g. lr=0.1 (a searched "
        "knob is refused); may be repeated", name="set")] = field(default_factory=dict)

    trials: Annotated[int, Flag("N", "total number of trials, finished ones included", ge=1,
        default="the space's budget", group="how it is searched")]
    epochs: Annotated[int, Flag("N", "epochs per trial", ge=1, default="the recipe's")]
    stop_when: Annotated[str, Flag("RULE", "when the search ends: trials, with the last one; settled, at one of four "
        "looks at which no knob may cost more than two points (95 % bounds)", choices=STOPPINGS)] = TRIALS
    sampler: Annotated[str, Flag("S", "what chooses the next trial", choices=tuple(SAMPLERS),
        default="{}; {} with two objectives, a guard, a pruner or a warm start".format(*SAMPLER))]
    n_sobol: Annotated[int, Field(ge=0)]
    second_objective: Annotated[str | None, Flag("O", "all, or all and a second one: "
        f"{' '.join(f'all,{name}' for name in SECOND)}; the knee and the ends of their front are confirmed",
        default="all", name="objectives")] = None
    pruner: Annotated[str, Flag("P", "what stops a trial early", choices=tuple(PRUNERS),
        default="none where all trials are spread evenly and with two objectives, else median")]
    finalists: Annotated[int, Flag("F", "best trials that are trained again to choose best1", ge=0,
        default=_BY_OBJECTIVES(*FINALISTS))]
    finalist_seeds: Annotated[int, Flag("S", "fresh seeds per finalist; 0 skips the choice", ge=0)] = 3
    confirm_top: Annotated[int, Flag("K", "best trials to confirm, at most all of them", ge=1,
        default=_BY_OBJECTIVES(*CONFIRM_TOP))]
    confirm_seeds: Annotated[int, Flag("S", "fresh seeds per confirmed entry; 0 skips the confirmation", ge=0)] = 6
    ladder: Annotated[tuple[str, ...], AfterValidator(_in_order), Flag("LIST", "methods that are confirmed at their "
        f"reference values: {', '.join(METHODS)}; {' and '.join(COMPARED)} are confirmed without being named")] = LADDER
    long_seeds: Annotated[int, Flag("S", "seeds of the confirmation on which la, kd and best1 are trained again at "
        "twice the epochs; 0 skips this check", ge=0)] = 3
    epochs_factor: Annotated[int, Flag("F", "train every confirmed entry again at F times the epochs, on every seed; "
        "1 does not", ge=1)] = 1
    ablation_seeds: Annotated[int, Flag("S", "how many of the confirmation's seeds best1 is trained on without each "
        "setting and each part that may matter; 0 skips this", ge=0)] = 3
    tuned_baselines: Annotated[tuple[str, ...], Flag("LIST", "tune baselines too, each at the budget of the search, "
        f"and compare the best with them: {', '.join(BASELINES)}; {','.join(COMPARED)} without a list",
        alone=",".join(COMPARED))] = ()
    data_seeds: Annotated[int, Flag("R", "cuts of the long tail to confirm on, the study's own included", ge=1)] = 1
    points: Annotated[tuple[Mapping[str, Any], ...], Flag("FILE", "YAML or CSV file of your own points, which are "
        "trained first, each to its end; they count as trials")] = ()
    warm_start: Annotated[str | None, Flag("PATH", "study folder whose complete trials the sampler learns from "
        "(same data, objective and knobs), or a file of study.ingest; they are no trials of this study")] = None
    guards: Annotated[Mapping[str, float], Flag("GROUP=POINTS", "most percentage points of recall on D_val that GROUP "
        f"({', '.join(GROUPS)}) may lose to the reference point, e.g. many=1; may be repeated",
        name="guard")] = field(default_factory=dict)
    seed: Annotated[int, Flag("N", "seed of the study", ge=0)] = 0
    max_hours: Annotated[float | None, Flag("H", "hours of this command: trials, longer runs and an ablation that "
        "would end later are left out, which is reported; selection and confirmation never are, and may end later",
        gt=0, default="no limit")] = None

    device: Annotated[Literal["cpu", "cuda"], Flag("D", "where students train", auto=True, group="where it runs")]
    precision: Annotated[Precision | None, Flag("P", "number format of the students; auto takes bfloat16 on GPUs, and "
        "elsewhere where a timed step is faster in it by a tenth", choices=PRECISIONS, auto=True)]
    address: Annotated[str, Flag("A", "Ray cluster: local (a private one), auto (the one on this machine) or "
        "HOST:PORT; for a remote one, run this on it with `ray job submit`")] = LOCAL
    cpus_per_trial: Annotated[float, Flag("X", "processor cores per trial, at least 0.1; with a GPU it may be 0",
        ge=0)] = 1.0
    gpus_per_trial: Annotated[float, Flag("X", "GPUs per trial, may be a fraction from 0.001", ge=0,
        default="0 on cpu, 1/K on cuda")]
    trials_per_process: Annotated[int, Flag("K", ge=1,
        help="trials that one process trains side by side, on a GPU that they share")] = 1
    max_concurrent: Annotated[int | None, Flag("N", "most trials at a time", ge=1, default="as many as fit")] = None
    max_retries: Annotated[int, Flag("N", "times a crashed trial is tried again", ge=0)] = 2
    max_failures: Annotated[int | None, Flag("N", "trials and later runs that may fail before the study ends", ge=0,
        default="a quarter of the trials, at least 3")] = None
    trial_timeout: Annotated[float, Flag("S", "seconds without a report after which a trial is ended; 0 for never",
        ge=0)] = 1800.0
    storage: Annotated[str | None, Flag("URI", "checkpoints: a folder that every node sees, or "
        "s3://..., gs://...", default="the study folder")] = None

    verbose: Annotated[bool, Flag("", "show Ray's own messages too", group="what is shown")] = False
    # fmt: on
    fallback_from: str | None = None
    fallback_reason: str | None = None
    recipe_settings: Mapping[str, Any] = field(default_factory=dict)
    ablation_knobs: tuple[str, ...] = ()
    ablation_on_test: bool = False

    def to_json(self) -> dict[str, Any]:
        """Plain types for the manifest, with the epochs at which trials are evaluated."""
        return asdict(self) | {"rungs": list(rungs(self.epochs))}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, for a manifest that may have been altered, or that an earlier version wrote.

        Raises:
            ValueError: an unknown key, a missing one, or a value of another type or out of bounds; names the key.
        """
        # Version 0.1 wrote the teacher's fields beside the others, as teacher_form and so on.
        known = {key: value for key, value in plain.items() if key != "rungs"}
        if isinstance(known.get("teacher"), str):
            known["teacher_name"] = known.pop("teacher")
            flat = {key: key.removeprefix("teacher_") for key in known if key.startswith("teacher_")}
            known["teacher"] = {name: known.pop(key) for key, name in flat.items()}
        known.setdefault("precision", default_precision(str(known.get("device"))))
        # A study that was planned before there were longer runs, or an ablation, is finished without them.
        known.setdefault("long_seeds", 0)
        known.setdefault("ablation_seeds", 0)
        # One that was begun on the original images goes on with them.
        known.setdefault("image_store", 0)
        try:
            return TypeAdapter(cls).validate_json(json.dumps(known))
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}; got {first['input']!r}") from None

    @property
    def failures_allowed(self) -> int:
        """Trials and later runs that may fail before the study ends."""
        n_trials = self.trials * (1 + len(self.tuned_baselines))
        return max(3, n_trials // 4) if self.max_failures is None else self.max_failures

    @property
    def n_candidates(self) -> int:
        """Best trials that the selection trains again: the finalists, or all that are to be confirmed; 0 without it.

        Every trial of this study can be one, the reference point and the user's own points too; a warm start adds none.
        """
        asked = max(self.finalists, self.confirm_top) if self.finalists and self.finalist_seeds else 0
        return min(asked, self.trials)

    @property
    def selects_reference(self) -> bool:
        """Whether the selection trains the reference point beside the candidates; all trials have it among them."""
        return SAMPLERS[self.sampler].tries_reference and 0 < self.n_candidates < self.trials

    @property
    def n_selection_runs(self) -> int:
        """Most runs of the selection: the candidates and the reference point."""
        return (self.n_candidates + self.selects_reference) * self.finalist_seeds

    @property
    def n_confirmed(self) -> int:
        """Most best trials that are confirmed."""
        return min(self.confirm_top, self.trials)

    @property
    def n_tuning_runs(self) -> int:
        """Most trials and runs of the selection, for one tuned baseline as for the studied method."""
        return self.trials + self.n_selection_runs

    @property
    def n_entries(self) -> int:
        """Entries of the confirmation: the searched ones and every rung of the ladder."""
        return len(self.ladder) + self.n_confirmed + len(self.tuned_baselines)

    @property
    def n_confirm_runs(self) -> int:
        """Runs of the confirmation: every entry, on every cut."""
        return self.n_entries * self.confirm_seeds * self.data_seeds

    @property
    def checked_entries(self) -> tuple[str, ...]:
        """Entries that are trained at twice the epochs: those of the report's claim, and their reference points."""
        tuned = (f"{name}{TUNED_SUFFIX}" for name in COMPARED if name in self.tuned_baselines)
        return (BEST, *COMPARED, *tuned)

    @property
    def n_longer_runs(self) -> dict[int, int]:
        """Factor of the epochs -> runs at that length, ascending; empty where there are none."""
        found = {CHECK_FACTOR: len(self.checked_entries) * min(self.long_seeds, self.confirm_seeds)}
        if self.epochs_factor > 1:
            found[self.epochs_factor] = self.n_entries * self.confirm_seeds
        return {factor: n for factor, n in sorted(found.items()) if n}

    @property
    def confirm_cost(self) -> int:
        """Cost of the confirmation and of the longer runs, in trials."""
        return self.n_confirm_runs + sum(factor * n for factor, n in self.n_longer_runs.items())

    def most_ablation_runs(self, space: "SearchSpace") -> int:
        """Return the most runs that the ablation trains; how many knobs are put back is known after the search.

        The runs of best1 that the confirmation trains are not among them. Where the only trial is the reference point,
        no knob has another value than its own.
        """
        n_knobs = min(MOST_PUT_BACK, len(space.tunable)) + len(self.ablation_knobs)
        if self.trials == 1 and SAMPLERS[self.sampler].tries_reference:
            n_knobs = 0
        n_best = max(0, OF_BEST * self.ablation_seeds - self.confirm_seeds)
        return n_best + self.ablation_seeds * (n_knobs + len(parts_of(space.method)))

    def planned_runs(self, space: "SearchSpace") -> dict[str, int]:
        """Return phase -> its most runs, in the order of the phases, for those that have any."""
        found: dict[str, int] = {
            PhaseName.SEARCH: self.trials,
            PhaseName.SELECTION: self.n_selection_runs,
            **{tuning_phase(baseline): self.n_tuning_runs for baseline in self.tuned_baselines},
            PhaseName.CONFIRMATION: self.n_confirm_runs,
            PhaseName.LONGER: sum(self.n_longer_runs.values()),
            PhaseName.ABLATION: self.most_ablation_runs(space),
        }
        return {phase: n for phase, n in found.items() if n}

    def closing_cost(self, space: "SearchSpace") -> int:
        """Return the most cost of all that follows the searches and their selections, in trials."""
        return self.confirm_cost + self.most_ablation_runs(space)

    @property
    def training(self) -> dict[str, Any]:
        """Training settings of every rung of the ladder: the recipe's, unless a flag, `--set` or the space decides."""
        shared = {key: value for key, value in self.overrides.items() if key in training_settings()}
        return {**self.recipe_settings, "student": self.student, "epochs": self.epochs, **shared}

    def training_in(self, space: "SearchSpace") -> dict[str, Any]:
        """Training settings of every trial of a space: those of the rungs that it does not search."""
        return {key: value for key, value in self.training.items() if key not in space.distributions}

    @property
    def fixed_knobs(self) -> dict[str, Any]:
        """Objective knobs fixed by `--set`: they hold for the searched method, the rungs keep their references."""
        return {key: value for key, value in self.overrides.items() if key not in training_settings()}


#: Every flag that is a field of the plan, by the field's name ('teacher_form' for a field of the teacher).
OPTIONS: dict[str, Option] = {option.key: option for option in options_of(StudyPlan)}


def longer_fault(epochs_factor: int, confirm_seeds: int) -> str | None:
    """Return what is wrong with an `--epochs-factor` beside a number of seeds, None where nothing is."""
    if epochs_factor < 2 or confirm_seeds:
        return None
    return f"--epochs-factor above 1 is for the confirmation, which --confirm-seeds 0 skips; got {epochs_factor}"


def top_fault(flag: str, top: int, trials: int) -> str | None:
    """Return what is wrong with a number of best trials to confirm that was asked for by `flag`, None if nothing is."""
    return f"{flag} must not exceed the number of trials, {trials}; got {top}" if top > trials else None


def address_fault(address: str) -> str | None:
    """Return what is wrong with an `--address`, None where it has the form of one."""
    if address.startswith("ray://"):
        return (
            f"--address must be {ADDRESSES}; got {address!r}: Ray Client does not carry Ray Tune's driver. Run the "
            "driver on the cluster instead: ray job submit --address http://HEAD:8265 --working-dir . -- "
            "python -m study.run --address auto ..."
        )
    found = _HOST_PORT.fullmatch(address)
    if address in (LOCAL, AUTO) or (found and 0 < int(found[2]) < 2**16):
        return None
    return f"--address must be {ADDRESSES}; got {address!r}"
