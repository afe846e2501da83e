"""Whether a study trains its students out: by the steps that they take, and by where the recipe's length comes from."""

from typing import NamedTuple

from search_spaces.corners import ends
from study.planning.checked import Checked
from trainables.cckd.data.images.sets import OptionValue
from trainables.cckd.data.spec import DataSpec
from trainables.cckd.recipe import QUICK, Recipe

#: Options that decide which images of the pool are trained on.
_CUT = ("n_max", "ir", "imb_type")

#: How the length of a recipe was found, in words.
_FOUND = {"measured": "was measured", "published": "is as published,", "": "is a first guess"}


class TrainingLength(NamedTuple):
    """What is known of a study's training length.

    Attributes:
        not_trained_out: why the students are not trained out; None where they take the steps of the measured recipe.
        not_measured: one sentence where they do, on other data than those that the recipe's length is known for.
    """

    not_trained_out: str | None
    not_measured: str | None

    @property
    def notes(self) -> list[str]:
        """What a user must know before the study starts; nothing where the length is known for these data."""
        stamped = self.not_trained_out and f"the students are not trained out: {self.not_trained_out}"
        return [note for note in (stamped, self.not_measured) if note]


def training_length(checked: Checked) -> TrainingLength:
    """Compare the steps of a study with those of the data set's measured recipe, on the study's own cut."""
    plan, spec = checked.plan, checked.data.spec
    chosen = spec.info.recipe(plan.recipe)
    measured = chosen
    if chosen.name == QUICK:
        measured = next((recipe for recipe in spec.info.recipes if recipe.name != QUICK), chosen)
    reasons = [f"recipe {QUICK}"] if chosen.name == QUICK else []
    n_train, batch_size = len(checked.data.train), _largest_batch(checked)
    taken = _n_steps(n_train, plan.epochs, batch_size)
    wanted = _n_steps(n_train, measured.epochs, measured.batch_size)
    if taken < wanted:
        reasons.append(
            f"{taken:,} of the {wanted:,} steps of recipe {measured.name} ({plan.epochs} epochs at batch {batch_size} "
            f"in place of {measured.epochs} at {measured.batch_size})"
        )
    return TrainingLength(", ".join(reasons) or None, None if reasons else _not_measured(spec, measured))


def _n_steps(n_train: int, epochs: int, batch_size: int) -> int:
    """Return the optimiser steps of a run; an epoch of a batch that the cut does not fill counts as one step."""
    return epochs * max(1, n_train // batch_size)


def _largest_batch(checked: Checked) -> int:
    """Return the largest batch of any trial or rung, with which a run takes the fewest steps."""
    searched = [knob for knob in checked.space.tunable if knob.name == "batch_size"]
    sizes = [checked.plan.training["batch_size"], *(end for knob in searched for end in ends(knob))]
    return int(max(sizes))


def _not_measured(spec: DataSpec, recipe: Recipe) -> str | None:
    """Say that the length of a recipe is not known for the options of a data set; None where it is."""
    known = recipe.length_at if recipe.length else {}
    others = {name: spec.options[name] for name, values in known.items() if spec.options[name] not in values}
    if recipe.length and not others:
        return None
    of_cut = bool(others.keys() & set(_CUT)) if others else spec.is_cut
    got = f" ({', '.join(f'{name}={_text(value)}' for name, value in others.items())})" if others else ""
    at = ", ".join(f"{name}={' or '.join(map(_text, known[name]))}" for name in others)
    return (
        f"length not measured for {'this cut' if of_cut else 'these images'}{got}; that of recipe {recipe.name} "
        f"{_FOUND[recipe.length]}{f' for {at}' if at else ''}"
    )


def _text(value: OptionValue) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
