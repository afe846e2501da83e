"""A study that can start: the values that `check` and `manifest` build, and that every phase reads."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from search_spaces import SearchSpace
from study.planning.cores import cores_fault, share_faults
from study.planning.plan import CONFIRM_TOP, StudyPlan, longer_fault, top_fault
from study.planning.points.points_file import PlacedPoints, check_points
from study.planning.spaces import check_baselines, check_ladder
from study.planning.warm_start import WarmStart
from study.schema import CautionReason
from study.strategy.guards import Guard, classes_of
from study.strategy.objectives import SECONDS, SecondObjective
from study.strategy.samplers import SAMPLERS
from study.strategy.search_settings import SearchSettings
from study.strategy.stopping import stopping_fault
from study.terminal.faults import Faults
from study.terminal.progress import Progress
from trainables.cckd.config import TrialConfig, step_shape
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.memory_choice import DataPath, choose_path
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.data.store.image_store import ImageStore
from trainables.cckd.data.store.store_choice import choose_store
from trainables.cckd.errors import first_few
from trainables.cckd.files.digests import json_digest
from trainables.cckd.precision import StepShape
from trainables.cckd.records import rungs
from trainables.cckd.teacher.check import check_fit
from trainables.cckd.teacher.contamination import imagenet_labels
from trainables.cckd.teacher.embeddings import ClassEmbeddings
from trainables.cckd.teacher.fit.class_order import other_orders
from trainables.cckd.teacher.spec import TeacherSpec, fitted_on_val
from trainables.cckd.teacher.teacher_file import TeacherFile

#: A scan that is faster than this shows nothing, so that a quick refusal is all that a user reads.
_QUIET_S = 2.0


class Caution(NamedTuple):
    """What a reader of the numbers must know: its kind, and one sentence without a full stop."""

    reason: CautionReason
    text: str


@dataclass(frozen=True)
class Checked:
    """A study that can start: its plan, space, data, teacher and the folder it will make.

    Attributes:
        plan: image files have their way to the trials and their store chosen in it, so that a study which loses files,
            or is resumed, keeps both.
        outputs: the class of each output of the teacher's own classifier; None where its form has none.
        cuts: SHA-256 of the data set with each cut of the long tail, the study's own first; empty where the
            confirmation uses no other cut.
        origins: setting -> where its value comes from, for the training settings and what the recipe says of the
            teacher; empty for a resumed study, whose plan has the values.
        shared: (first set, second set) -> images of the second that the first holds too; empty for a resumed study.
        shared_cuts: number of a further cut of the long tail -> judged set -> its images that the cut trains on; for a
            resumed study, of the cuts that it adds.
        order_unsure: one sentence where training images do not show that `outputs` is right; None for a resumed study.
        data_path: whether images are held in memory or streamed from their files.
        image_store: where streamed images are read from; None for the originals.
        settings: what study.db keeps of the plan: all that decides the course of the search.

    Raises:
        UsageError: a guard or an objective of a group without classes, or a way to hold images, or to store them,
            that the data set does not have.
    """

    plan: StudyPlan
    space: SearchSpace
    data: LongTailData
    teacher_file: TeacherFile
    folder: Path
    embeddings: ClassEmbeddings | None = None
    outputs: tuple[str, ...] | None = None
    cuts: tuple[str, ...] = ()
    warm: WarmStart | None = None
    origins: Mapping[str, str] = field(default_factory=dict)
    shared: Mapping[tuple[str, str], int] = field(default_factory=dict)
    shared_cuts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    order_unsure: str | None = None
    data_path: DataPath = field(init=False)
    image_store: ImageStore | None = field(init=False)
    settings: SearchSettings = field(init=False)

    def __post_init__(self) -> None:
        sets = (self.data.train, self.data.val, self.data.test)
        object.__setattr__(self, "data_path", choose_path(sets, self.plan.data_path))
        store = choose_store(
            self.plan.image_store,
            self.data_path,
            data_root=Path(self.plan.data_root),
            student_size=self.data.image_shape[1],
            teacher_size=self.teacher_size,
        )
        object.__setattr__(self, "image_store", store)
        if any(isinstance(of_set, ImageFiles) for of_set in sets):
            kept: dict[str, Any] = {"data_path": self.data_path.name, "image_store": store.shorter if store else 0}
            object.__setattr__(self, "plan", replace(self.plan, **kept))
        plan, groups, second = self.plan, self.data.groups.to_dict(), self.plan.second_objective
        settings = SearchSettings(
            sampler=plan.sampler,
            pruner=plan.pruner,
            trials=plan.trials,
            n_sobol=plan.n_sobol,
            points=plan.points,
            seed=plan.seed,
            epochs=plan.epochs,
            rungs=rungs(plan.epochs),
            guards=tuple(
                Guard(group, points, classes_of(group, groups, "--guard ")) for group, points in plan.guards.items()
            ),
            second_objective=None
            if second is None
            else SecondObjective(second, () if second == SECONDS else classes_of(second, groups, "--objectives all,")),
        )
        object.__setattr__(self, "settings", settings)

    def sha256_of(self, subset: str) -> str:
        """The hash that the teacher's features of a set are filed under: every cut has the same D_val and test set.

        The teacher sees the images of the store, so their features are others than those of the originals.
        """
        sha256 = self.cuts[0] if self.cuts and subset != "train" else self.data.sha256
        return json_digest({"data": sha256, "store": self.image_store.recipe}) if self.image_store else sha256

    @property
    def class_order(self) -> str | None:
        """The order of the labels, where class names can be sorted in two ways; None where that says nothing."""
        others = other_orders(self.data.class_names)
        if not others or (self.data.spec.info.class_names is not None and self.outputs is None):
            return None
        said = [f"{first_few(self.data.class_names)} in this order"]
        said += [f"sorted {how} they are {first_few(order)}" for how, order in others.items()]
        if self.outputs is not None:
            said.append(f"the teacher's outputs are {first_few(self.outputs)}")
        return "; ".join(said)

    @property
    def contaminated_by(self) -> str | None:
        """The labels that the teacher has learned of the data set's own images; None where there are none."""
        tag = imagenet_labels(self.teacher) if self.data.spec.of_imagenet else None
        return f"ImageNet ({self.teacher.name}, {tag})" if tag else None

    @property
    def cautions(self) -> tuple[Caution, ...]:
        """What a reader of the numbers must know before the study starts."""
        said = [
            Caution(CautionReason.SHARED_IMAGES, f"{n} of the {second} images are also in {first}, pixel by pixel")
            for (first, second), n in self.shared.items()
        ]
        for cut, counts in self.shared_cuts.items():
            images = " and ".join(f"{n} of the {judged} images" for judged, n in counts.items())
            told = f"cut {cut} of the long tail (--data-seeds) trains on {images}, pixel by pixel"
            said.append(Caution(CautionReason.SHARED_IMAGES, told))
        if self.order_unsure:
            said.append(Caution(CautionReason.UNSURE_CLASS_ORDER, self.order_unsure))
        if self.contaminated_by:
            learned = f"the teacher has learned the labels of the data set's own images: {self.contaminated_by}"
            said.append(Caution(CautionReason.CONTAMINATED_TEACHER, learned))
        if self.data.selected_on == "test":
            same = "D_val is the test set itself: every number is selected on test"
            said.append(Caution(CautionReason.SELECTED_ON_TEST, same))
            if fitted := fitted_on_val(self.teacher):
                labels = f"of the teacher, {' and '.join(fitted)} come from test labels too"
                said.append(Caution(CautionReason.TEACHER_FITTED_ON_TEST, labels))
        return tuple(said)

    @property
    def points_text(self) -> str:
        """What is told of the user's own points, which the plan has."""
        n, first = len(self.plan.points), int(SAMPLERS[self.plan.sampler].tries_reference)
        which = f"trials {first} to {first + n - 1}" if n > 1 else f"trial {first}"
        return f"{n} of your own, {which}; they count among the {self.plan.trials} trials"

    @property
    def reference(self) -> TrialConfig:
        """The configuration of the studied method at its reference point."""
        point, shared = self.space.reference_point(), self.plan.training_in(self.space) | self.plan.fixed_knobs
        return TrialConfig.build({**self.space.config(point), **shared})

    @property
    def step_shape(self) -> StepShape:
        """A training step of the reference point, in an epoch that mixes."""
        return step_shape(self.reference, len(self.data.class_names), self.data.image_shape)

    @property
    def teacher(self) -> TeacherSpec:
        """The teacher as asked for."""
        return self.plan.teacher

    @property
    def teacher_size(self) -> int:
        """Side of the teacher's input, pixels."""
        return self.teacher.input_size(self.teacher_file, *self.data.image_shape[1:])


def check_plan(plan: StudyPlan, space: SearchSpace, faults: Faults, points: PlacedPoints | None = None) -> None:
    """Judge what the values of a plan must keep among themselves, when a study starts and whenever it is resumed.

    Args:
        plan: with the values of the command line.
        space: with the references of the plan's recipe.
        faults: takes what is wrong.
        points: the plan's own points by where the user wrote them; None for a plan that was read from a study.
    """
    check_ladder(plan, faults)
    check_baselines(plan, space, faults)
    if points is None:
        points = {f"--points: point {k}": dict(point) for k, point in enumerate(plan.points, start=1)}
    else:  # an earlier version took what these refuse, and a study that it began goes on
        faults.found += [*share_faults(plan), *filter(None, (_asked_top_fault(plan),))]
    first = SAMPLERS[plan.sampler].tries_reference
    check_points(points, space, plan.trials, with_reference=first, faults=faults)
    faults.found += filter(
        None,
        (
            longer_fault(plan.epochs_factor, plan.confirm_seeds),
            cores_fault(plan),
            stopping_fault(plan.stop_when, plan.trials, 1 + bool(plan.second_objective)),
        ),
    )


def _asked_top_fault(plan: StudyPlan) -> str | None:
    """Return what is wrong with --confirm-top; its default is cut to the trials without a word."""
    top = plan.confirm_top
    return None if top == CONFIRM_TOP[bool(plan.second_objective)] else top_fault("--confirm-top", top, plan.trials)


def check_teacher_fit(teacher: TeacherSpec, file: TeacherFile, data: LongTailData) -> ClassEmbeddings | None:
    """Compare the teacher with the data's classes; return the class embeddings of a zero_shot teacher."""
    return check_fit(
        teacher, file, class_names=data.class_names, counts=data.counts, val_labels=np.asarray(data.val.labels)
    )


def watched_load(plan: StudyPlan, progress: Progress | None = None) -> LongTailData:
    """Load the plan's data; show how far a long scan of image files is, on `progress` or on standard output."""
    shown, start = progress or Progress(), time.monotonic()
    showing = False

    def watch(done: int, total: int) -> None:
        nonlocal showing, start
        if done == 0:  # a download before the scan has its own words
            start = time.monotonic()
        elif not showing and time.monotonic() - start >= _QUIET_S:
            shown.begin("scan", total)
            showing = True
        if showing:
            shown.update(done, "image files")

    try:
        spec, root = parse_data(plan.data), Path(plan.data_root)
        return load_data(spec, data_root=root, split=plan.split, skip_corrupt=plan.skip_corrupt, on_scan=watch)
    finally:
        if showing:
            shown.end()
