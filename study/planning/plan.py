"""The plan of a study: every choice of the command line, resolved, frozen, and kept in study.json."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self, get_type_hints

from pydantic import TypeAdapter, ValidationError

from trainables.cckd.config import training_settings
from trainables.cckd.methods import LADDER
from trainables.cckd.precision import Precision, default_precision
from trainables.cckd.teacher.spec import TeacherSpec

SAMPLERS = ("sobol+tpe", "tpe", "random", "qmc", "gp", "grid")
PRUNERS = ("none", "median", "asha", "hyperband")


@dataclass(frozen=True)
class StudyPlan:
    """All that decides a study, beside the space (kept as JSON in the manifest).

    Attributes:
        data: data set with every option spelled out, e.g. 'fashion_mnist_lt:n_max=200,ir=50'.
        split: how D_val is had; None for the data set's default.
        trials: total number of trials, the finished ones included.
        n_sobol: Sobol trials after the reference point.
        finalists, finalist_seeds: how many of the best trials are trained again to choose best1, and how often.
        data_seeds: cuts of the long tail that the confirmation runs on, the study's own among them.
        overrides: `--set` values: fixed knobs and training settings.
        second_objective: what is optimised beside the mean recall of all classes, None for nothing.
        warm_start: folder of the study whose trials the sampler starts from, None for a cold start.
        tuned_baselines: methods of the ladder that are tuned too, at an equal budget.
        guards: group -> percentage points of mean recall on D_val that best1 may lose to the reference point.
        precision: of the students' passes.
        max_concurrent: upper bound on concurrent trials, None for as many as fit.
        trials_per_process: trials that one process trains together, each with its share of a GPU.
        data_path: whether image files are held in memory, one of data.residence.DATA_PATHS.
        skip_corrupt: leave out image files that can not be used, rather than refuse the set.
        max_retries: times a trial that crashed is tried again.
        max_failures: trials and later runs that may fail for good, None for a quarter of the trials, at least 3.
        trial_timeout: seconds without a report after which a trial hangs, 0 for never.
        storage: folder for checkpoints and Ray's tree that every node sees, None for the study folder.
    """

    space: str
    data: str
    data_root: str
    split: str | None
    teacher: str
    teacher_form: str
    teacher_size: int | None
    teacher_views: int
    student: str
    trials: int
    epochs: int
    sampler: str
    n_sobol: int
    pruner: str
    finalists: int
    finalist_seeds: int
    confirm_top: int
    confirm_seeds: int
    seed: int
    data_seeds: int = 1
    teacher_weights: str | None = None
    teacher_embeddings: str | None = None
    teacher_prior: str = "val"
    teacher_prior_smoothing: float = 0.0
    teacher_targets: str = "in_fold"
    teacher_folds: int = 5
    device: str = "auto"
    precision: Precision = "float32"
    address: str = "local"
    cpus_per_trial: float = 1.0
    gpus_per_trial: float = 0.0
    max_concurrent: int | None = None
    trials_per_process: int = 1
    max_retries: int = 2
    max_failures: int | None = None
    trial_timeout: float = 1800.0
    storage: str | None = None
    second_objective: str | None = None
    warm_start: str | None = None
    verbose: bool = False
    skip_corrupt: bool = False
    data_path: str = "auto"
    fallback_from: str | None = None
    fallback_reason: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    guards: Mapping[str, float] = field(default_factory=dict)
    tuned_baselines: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain types for the manifest."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`, for a manifest that may have been altered.

        Raises:
            TypeError: an unknown key, or a missing one.
            ValueError: a value of another type; names the key.
        """
        tuned = plain.get("tuned_baselines", ())
        # Of a version that had no choice of it.
        precision = default_precision(str(plain.get("device")))
        changed = {"tuned_baselines": tuple(tuned) if isinstance(tuned, list) else tuned}
        plan = cls(**{"precision": precision, **plain, **changed})
        for name, kind in get_type_hints(cls).items():
            try:
                TypeAdapter(kind).validate_python(getattr(plan, name), strict=True)
            except ValidationError as error:
                raise ValueError(f"{name}: {error.errors()[0]['msg']}; got {getattr(plan, name)!r}") from None
        return plan

    @property
    def teacher_spec(self) -> TeacherSpec:
        """The teacher that the `teacher` fields ask for."""
        return TeacherSpec(
            name=self.teacher,
            form=self.teacher_form,
            size=self.teacher_size,
            views=self.teacher_views,
            prior=self.teacher_prior,
            prior_smoothing=self.teacher_prior_smoothing,
            weights=self.teacher_weights,
            embeddings=self.teacher_embeddings,
            targets=self.teacher_targets,
            folds=self.teacher_folds,
        )

    @property
    def failures_allowed(self) -> int:
        """Failures for good with which the study still goes on."""
        n_trials = self.trials * (1 + len(self.tuned_baselines))
        return max(3, n_trials // 4) if self.max_failures is None else self.max_failures

    @property
    def n_selection_runs(self) -> int:
        """Runs of the selection at most: the finalists and the reference point."""
        return (self.finalists + 1) * self.finalist_seeds if self.finalists else 0

    @property
    def n_tuning_runs(self) -> int:
        """Trials and runs of the selection at most, for one tuned baseline as for the studied method."""
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
