"""The plan of a study: every choice of the command line, resolved, frozen, and kept in study.json.

Each field says all about itself once: type, default, bounds, choices and help. The flags of the commands, their texts'
readers and the JSON of the manifest derive from it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, field
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from study.planning.flags import Flag, Option, options_of
from study.strategy.guards import GROUPS
from study.strategy.objectives import N_CONFIRMED, SECOND
from study.strategy.pruners import PRUNERS
from study.strategy.samplers import SAMPLERS
from trainables.cckd.config import training_settings
from trainables.cckd.methods import LADDER
from trainables.cckd.precision import Precision, default_precision
from trainables.cckd.rungs import rungs
from trainables.cckd.teacher.spec import TeacherSpec

LOCAL, AUTO = "local", "auto"
ADDRESSES = "local, auto or HOST:PORT"

#: Defaults that depend on whether there is a second objective: with one of them, and with two.
PRUNER = ("median", "none")
FINALISTS = (5, 0)
CONFIRM_TOP = (1, N_CONFIRMED)

_HOST_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_TWO = "{} (default: {}; {} with two objectives)".format


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False))
class StudyPlan:
    """All that decides a study, beside the space. Building one checks types and bounds.

    A field without a `Flag` follows from other choices: `n_sobol` from the sampler, `fallback_from` and
    `fallback_reason` from a default data set that cannot be loaded.
    """

    space: Annotated[
        str,
        Flag("S", group="what is studied"),
        Field(description="search space: a name, a FILE.yaml or module:ATTRIBUTE"),
    ] = "acckd_full"
    data: Annotated[
        str,
        Flag("NAME[:key=value,...]", default="fashion_mnist_lt; digits_lt where that cannot be loaded"),
        Field(description="long-tailed data set"),
    ]
    data_root: Annotated[str, Flag("DIR"), Field(description="folder of the data sets")] = "data"
    split: Annotated[
        str | None,
        Flag("MODE", default="the data set's"),
        Field(description="how D_val is split off: holdout, split_test, own or paper"),
    ] = None
    skip_corrupt: Annotated[
        bool, Flag(), Field(description="leave out image files that are missing or broken, and count them")
    ] = False
    data_path: Annotated[
        Literal["auto", "resident", "streamed"],
        Flag("P"),
        Field(description="image files are decoded once and held in memory, read again for each use, or by their size"),
    ] = "auto"
    teacher: TeacherSpec = field(default_factory=TeacherSpec)
    student: Annotated[str, Flag("NAME"), Field(description="the student: resnet8_cifar or a model of timm")] = (
        "resnet8_cifar"
    )
    overrides: Annotated[
        Mapping[str, Any],
        Flag("KEY=VALUE", name="set"),
        Field(description="fix a knob or training setting, e.g. lr=0.1 (a searched knob is refused); may be repeated"),
    ] = field(default_factory=dict)

    trials: Annotated[
        int,
        Flag("N", default="the space's budget", group="how it is searched"),
        Field(ge=1, description="total number of trials, finished ones included"),
    ]
    epochs: Annotated[int, Flag("N", default="the data set's"), Field(ge=1, description="epochs per trial")]
    sampler: Annotated[
        str, Flag("S", choices=tuple(SAMPLERS)), Field(description="what chooses the knobs of the next trial")
    ] = "sobol+tpe"
    n_sobol: Annotated[int, Field(ge=0)]
    second_objective: Annotated[
        str | None,
        Flag("O", name="objectives", default="all"),
        Field(
            description=f"all, or all and a second one: {' '.join(f'all,{name}' for name in SECOND)}; the knee and the "
            "ends of their front are confirmed"
        ),
    ] = None
    pruner: Annotated[
        str, Flag("P", choices=tuple(PRUNERS)), Field(description=_TWO("what stops a trial early", *PRUNER))
    ]
    finalists: Annotated[
        int, Flag("F"), Field(ge=0, description=_TWO("best trials that are trained again to choose best1", *FINALISTS))
    ]
    finalist_seeds: Annotated[
        int, Flag("S"), Field(ge=0, description="fresh seeds per finalist; 0 skips the choice")
    ] = 3
    confirm_top: Annotated[int, Flag("K"), Field(ge=1, description=_TWO("best trials to confirm", *CONFIRM_TOP))]
    confirm_seeds: Annotated[
        int, Flag("S"), Field(ge=0, description="fresh seeds per confirmed entry; 0 skips the confirmation")
    ] = 6
    tuned_baselines: Annotated[
        tuple[str, ...],
        Flag("LIST", alone="la,kd"),
        Field(
            description="tune baselines too, each at the budget of the search, and compare the best with them: "
            f"{', '.join(LADDER[:-1])}; la,kd without a list"
        ),
    ] = ()
    data_seeds: Annotated[
        int, Flag("R"), Field(ge=1, description="cuts of the long tail to confirm on, the study's own included")
    ] = 1
    warm_start: Annotated[
        str | None,
        Flag("DIR"),
        Field(
            description="study folder whose complete trials the sampler learns from (same data, objective and knobs); "
            "they do not count as trials of this study"
        ),
    ] = None
    guards: Annotated[
        Mapping[str, float],
        Flag("GROUP=POINTS", name="guard"),
        Field(
            description=f"percentage points of recall on D_val that GROUP ({', '.join(GROUPS)}) may lose at most to "
            "the reference point, e.g. many=1; may be repeated"
        ),
    ] = field(default_factory=dict)
    seed: Annotated[int, Flag("N"), Field(ge=0, description="seed of the study")] = 0

    device: Annotated[
        Literal["cpu", "cuda"], Flag("D", auto=True, group="where it runs"), Field(description="where students train")
    ]
    precision: Annotated[
        Precision,
        Flag("P", auto=True),
        Field(
            description="number format of the students; auto takes bfloat16 where it is faster: on GPUs and, without a "
            "cluster, on processors with AMX or AMD's from Zen 5 on"
        ),
    ]
    address: Annotated[
        str,
        Flag("A"),
        Field(
            description="Ray cluster: local (a private one), auto (the one on this machine) or HOST:PORT; for a "
            "remote one, run this on it with `ray job submit`"
        ),
    ] = LOCAL
    cpus_per_trial: Annotated[float, Flag("X"), Field(ge=0, description="processor cores per trial")] = 1.0
    gpus_per_trial: Annotated[
        float,
        Flag("X", default="0 on cpu, 1/K on cuda"),
        Field(ge=0, description="GPUs per trial, may be a fraction"),
    ]
    trials_per_process: Annotated[
        int, Flag("K"), Field(ge=1, description="trials that one process trains side by side, on a GPU that they share")
    ] = 1
    max_concurrent: Annotated[
        int | None, Flag("N", default="as many as fit"), Field(ge=1, description="trials that run at a time at most")
    ] = None
    max_retries: Annotated[int, Flag("N"), Field(ge=0, description="times a crashed trial is tried again")] = 2
    max_failures: Annotated[
        int | None,
        Flag("N", default="a quarter of the trials, at least 3"),
        Field(ge=0, description="trials and later runs that may fail before the study ends"),
    ] = None
    trial_timeout: Annotated[
        float, Flag("S"), Field(ge=0, description="seconds without a report after which a trial is ended; 0 for never")
    ] = 1800.0
    storage: Annotated[
        str | None,
        Flag("URI", default="the study folder"),
        Field(description="checkpoints and Ray's files: a folder that every node sees, or s3://..., gs://..."),
    ] = None

    verbose: Annotated[bool, Flag(group="what is shown"), Field(description="show Ray's own messages too")] = False
    fallback_from: str | None = None
    fallback_reason: str | None = None

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
    def n_selection_runs(self) -> int:
        """Most runs of the selection: the finalists and the reference point."""
        return (self.finalists + 1) * self.finalist_seeds if self.finalists else 0

    @property
    def n_tuning_runs(self) -> int:
        """Most trials and runs of the selection, for one tuned baseline as for the studied method."""
        return self.trials + self.n_selection_runs

    @property
    def n_confirm_runs(self) -> int:
        """Runs of the confirmation: the searched entries and every rung of the ladder, on every cut."""
        n_entries = len(LADDER) + self.confirm_top + len(self.tuned_baselines)
        return n_entries * self.confirm_seeds * self.data_seeds

    @property
    def training(self) -> dict[str, Any]:
        """Training settings that every trial and every rung of the ladder share."""
        shared = {key: value for key, value in self.overrides.items() if key in training_settings()}
        return {"student": self.student, "epochs": self.epochs, **shared}

    @property
    def fixed_knobs(self) -> dict[str, Any]:
        """Objective knobs fixed by `--set`: they hold for the searched method, the rungs keep their references."""
        return {key: value for key, value in self.overrides.items() if key not in training_settings()}


#: Every flag that is a field of the plan, by the field's name ('teacher_form' for a field of the teacher).
OPTIONS: dict[str, Option] = {option.key: option for option in options_of(StudyPlan)}


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
