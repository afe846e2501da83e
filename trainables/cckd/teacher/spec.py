"""Which teacher is asked for, and whether there is such a teacher: judged before anything slow."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from trainables.cckd.errors import TeacherError
from trainables.cckd.teacher.teacher_file import TeacherFile
from trainables.cckd.teacher.weights import EMBEDDED, find_weights

#: How the classifier is made; the forms in FITTED learn it from the training set.
FORMS = ("linear_probe", "ncm", "zero_shot", "head", "checkpoint")
FITTED = ("linear_probe", "ncm")
#: The forms that answer by the classifier in the weight file.
OWN_CLASSIFIER = ("head", "checkpoint")
PRIORS = ("val", "train", "uniform", "fixed_point")
TARGETS = ("in_fold", "out_of_fold")
FEATURES = ("final", "stages", "both")
#: The word for timm's order of the classes, beside a file that states an order.
NATURAL = "natural"

SMALL_SIZE = 96  # input of the embedded teacher for small images: 7 ms per image on one core instead of 33, no worse
_SMALL_IMAGE = 32
_SMALLEST_SIZE = 32  # most backbones halve their input five times


@dataclass(frozen=True)
class TeacherSpec:
    """A teacher as asked for. The fields' descriptions are the help of the command line's --teacher-... flags.

    Forms: 'linear_probe' is regression on frozen features, logit-adjusted by `tau`; 'ncm' the cosine to the class
    means; 'zero_shot' the cosine to class embeddings; 'head' the published classifier; 'checkpoint' the classifier of
    a fine-tuned weight file. For the priors p^t see `fit.prior`.
    """

    # fmt: off
    name: Annotated[str, Field(description="the teacher: a model of timm")] = EMBEDDED
    form: Annotated[str, Field(description=f"how its classifier is made: {', '.join(FORMS)}")] = "linear_probe"
    tau: Annotated[float, Field(ge=0, description="strength of linear_probe's logit adjustment: 1 gives a balanced "
        "teacher, 0 one that favours the head")] = 1.0
    size: Annotated[int | None, Field(ge=_SMALLEST_SIZE, description="side of its square input, pixels (default: the "
        f"recipe's, else the model's; {SMALL_SIZE} for {EMBEDDED} on images of up to {_SMALL_IMAGE} pixels)")] = None
    features: Annotated[str, Field(description=f"what is read of it: {', '.join(FEATURES)}; stages are its "
        "intermediate maps, each averaged over all places, from the same pass")] = FEATURES[0]
    views: Annotated[int, Field(ge=1, description="augmented views of each training image that it "
        "sees (default: the recipe's)")] = 8
    prior: Annotated[str, Field(description=f"where its prior comes from: {', '.join(PRIORS)}")] = "val"
    prior_smoothing: Annotated[float, Field(ge=0, lt=1, description="share of the uniform prior mixed in, "
        "below 1")] = 0.0
    weights: Annotated[str | None, Field(description="file of its weights; checkpoint needs it (default: the "
        "published weights)")] = None
    embeddings: Annotated[str | None, Field(description="class embeddings of zero_shot, safetensors or npz (default: "
        "open_clip's text encoder)")] = None
    classes: Annotated[str | None, Field(description="classes in the order of the outputs of head or checkpoint: "
        f"{NATURAL}, as timm sorts folders, or a file with a class per line, timm's class_map.txt (default: the data "
        "set's order)")] = None
    targets: Annotated[str, Field(description=f"{' or '.join(TARGETS)}: with out_of_fold, each training image is "
        "judged by a fit that has not seen it")] = "in_fold"
    folds: Annotated[int, Field(ge=2, description="number of folds of out_of_fold")] = 5
    # fmt: on

    def input_size(self, file: TeacherFile, height: int, width: int) -> int:
        """Return the side of the teacher's input, pixels, for images of `height` x `width`."""
        if self.size is not None:
            return self.size
        small = self.name == EMBEDDED and max(height, width) <= _SMALL_IMAGE
        return SMALL_SIZE if small else file.model_size


def fitted_on_val(spec: TeacherSpec) -> tuple[str, ...]:
    """Return what of a teacher is fitted on the labels of D_val: its strength or scale, and its prior."""
    by_form = {"linear_probe": ("strength",), "ncm": ("scale",)}
    return (*by_form.get(spec.form, ()), *(("prior",) if spec.prior in ("val", "fixed_point") else ()))


def check_teacher(spec: TeacherSpec) -> TeacherFile:
    """Find and verify the weights that `spec` needs. The embedded teacher needs no torch for that.

    The bounds of numbers stand in the fields. The flags, and the plan that is read from a manifest, are held to them.

    Raises:
        TeacherError: an unknown name or form, a smoothing of 1 or more, contradictory options, or a weight file that is
            missing, altered or of another model; lists every fault with the choices.
    """
    faults = [
        f"{what} must be one of {', '.join(choices)}; got {value!r}"
        for what, value, choices in (
            ("teacher form", spec.form, FORMS),
            ("teacher prior", spec.prior, PRIORS),
            ("teacher targets", spec.targets, TARGETS),
            ("teacher features", spec.features, FEATURES),
        )
        if value not in choices
    ]
    if not 0 <= spec.prior_smoothing < 1:
        faults.append(f"teacher prior smoothing must be at least 0 and below 1; got {spec.prior_smoothing:g}")
    faults += _combination_faults(spec)
    try:
        features = spec.features if spec.features in FEATURES else FEATURES[0]
        file = find_weights(spec.name, given=spec.weights, size=spec.size, features=features)
    except TeacherError as error:
        faults += error.faults
    if faults:
        raise TeacherError(faults)
    return file


def _combination_faults(spec: TeacherSpec) -> list[str]:
    faults = []
    if spec.form == "checkpoint" and spec.weights is None:
        faults.append("teacher form checkpoint needs its fine-tuned weights: give them with --teacher-weights FILE")
    if spec.tau != 1 and spec.form != "linear_probe":
        faults.append(f"teacher tau belongs to form linear_probe; got {spec.tau:g} with form {spec.form!r}")
    if spec.embeddings is not None and spec.form != "zero_shot":
        faults.append(f"teacher embeddings belong to form zero_shot; got form {spec.form!r}")
    if spec.classes is not None and spec.form not in OWN_CLASSIFIER:
        faults.append(f"teacher classes belong to form {' or '.join(OWN_CLASSIFIER)}; got form {spec.form!r}")
    if spec.targets == "out_of_fold" and spec.form in FORMS and spec.form not in FITTED:
        faults.append(
            f"teacher targets out_of_fold need a form that is fitted to the training set, {' or '.join(FITTED)}; "
            f"got form {spec.form!r}"
        )
    if spec.features in FEATURES[1:] and spec.form in FORMS and spec.form not in FITTED:
        faults.append(
            f"teacher features {spec.features} need a form that is fitted to them, {' or '.join(FITTED)}; "
            f"form {spec.form} reads the final features"
        )
    if spec.prior == "uniform" and spec.prior_smoothing > 0:
        faults.append(f"teacher prior uniform takes no smoothing; got {spec.prior_smoothing:g}")
    return faults
