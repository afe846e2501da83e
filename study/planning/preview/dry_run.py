"""What `--list-spaces`, `--list-data` and `--dry-run` print: 80 columns, no torch, no Ray."""

import re
import textwrap

from search_spaces.faults import describe
from search_spaces.from_file import EXAMPLE
from search_spaces.registry import list_spaces
from search_spaces.space import SearchSpace
from study.planning.checked import Checked
from study.planning.plan import LOCAL, OF_BEST, StudyPlan
from study.planning.preview.estimate import estimate_lines, limit_note, n_passes, step_time_here, store_lines
from study.planning.preview.training_length import training_length
from trainables.cckd.data.images.sets import DataSetInfo
from trainables.cckd.data.registry import list_data
from trainables.cckd.methods import OWN
from trainables.cckd.precision import faster_precision

_MOST_COUNTS = 20

_OWN = f"""your own:
  --space FILE.yaml         {EXAMPLE.parent.name}/{EXAMPLE.name} explains every key
  --space module:ATTRIBUTE  a SearchSpace object, the current folder first"""


def list_search_spaces() -> str:
    """Every space with its purpose and its knobs' ranges and reference values."""
    return "\n\n".join([*(_space(space) for space in list_spaces()), _OWN])


def list_data_sets() -> str:
    """Every data set with its options and splits."""
    return "\n\n".join(_data_set(info) for info in list_data())


def _data_set(info: DataSetInfo) -> str:
    """The call with its defaults, the options that have none, what the set is, classes, epochs and splits."""
    given = [f"{key}=..." for key in info.required]
    given += [f"{key}={value}" for key, value in info.options.items() if value != ""]
    extra = [key for key, value in info.options.items() if value == "" and key not in info.required]
    classes = f"{len(info.class_names)} classes" if info.class_names else "classes from its files"
    return "\n".join(
        [
            _call(info.name, given),
            _wrap(info.description),
            *([f"  also {', '.join(extra)}"] if extra else []),
            _wrap(
                f"{classes}, recipe {_recipes(info)}, split {info.default_split}"
                + (f" (or {', '.join(info.splits[1:])})" if info.splits[1:] else "")
            ),
        ]
    )


def _recipes(info: DataSetInfo) -> str:
    first, *others = (f"{recipe.name} ({recipe.epochs} epochs)" for recipe in info.recipes)
    return first + (f" (or {', '.join(others)})" if others else "")


def _call(name: str, given: list[str]) -> str:
    """`name:key=value,...`, broken after a comma where a line is full."""
    spaced = textwrap.fill(f"{name}:{', '.join(given)}", 80, subsequent_indent=" " * (len(name) + 1))
    return re.sub(r", (?=\S)", ",", spaced)


def dry_run(checked: Checked) -> str:
    """Space, budget, data counts and an estimate."""
    plan, data = checked.plan, checked.data
    groups = data.groups
    lines = [
        _space(checked.space),
        "",
        f"data      {plan.data} ({data.source})",
        f"images    {sum(data.counts)} training, {len(data.val)} val, {len(data.test)} test; split {data.split}"
        + (", SELECTED ON TEST" if data.selected_on == "test" else ""),
        f"data path {checked.data_path}",
        *(_line("" if k else "store", line) for k, line in enumerate(store_lines(checked))),
        *(_line("NOTE", caution.text) for caution in checked.cautions),
        f"classes   {_class_counts(data.counts)}",
        *([_line("order", checked.class_order)] if checked.class_order else []),
        f"groups    {len(groups.many)} many, {len(groups.medium)} medium, {len(groups.few)} few",
        *teacher_lines(checked),
        _line("student", f"{plan.student}, {plan.epochs} epochs, in {_precision(checked)}"),
        *recipe_lines(checked),
        *(_line("NOTE", note) for note in training_length(checked).notes),
        f"search    {plan.trials} trials, sampler {plan.sampler}, pruner {plan.pruner}",
        *([_line("points", checked.points_text)] if plan.points else []),
        *([f"warm      {checked.warm}"] if checked.warm else []),
        f"select    {plan.n_selection_runs} runs ({plan.finalist_seeds} seeds of best {plan.n_candidates}"
        + (" and the reference)" if plan.selects_reference else ")"),
        *(f"tune      {name}: {plan.n_tuning_runs} runs, as for {plan.space}" for name in plan.tuned_baselines),
        f"confirm   {plan.n_confirm_runs} runs ({_confirmed(plan)})",
        _line("ladder", ", ".join(plan.ladder)),
        *(_line("own", f"{own.name} ({plan.own_method}): {own.text}") for own in OWN),
        *(f"longer    {n} runs of {factor} x {plan.epochs} epochs" for factor, n in plan.n_longer_runs.items()),
        *_ablated(checked),
        *(_line("" if k else "estimate", line) for k, line in enumerate(estimate_lines(checked))),
        *(_line("NOTE", note) for note in (limit_note(checked),) if note),
        f"folder    {checked.folder} (not made: dry run)",
    ]
    if data.skipped:
        lines.insert(4, f"skipped   {len(data.skipped)} image files that cannot be used; first {data.skipped[0]}")
    if plan.fallback_from:
        note = f"NOTE      {plan.fallback_from} cannot be had here: {plan.fallback_reason}"
        lines.insert(2, textwrap.fill(note, 80, subsequent_indent=" " * 10, break_long_words=False))
    return "\n".join(lines)


def recipe_lines(checked: Checked) -> list[str]:
    """The recipe, and every value that a recipe can give with where it comes from."""
    plan = checked.plan
    values = plan.training | {"teacher_views": checked.teacher.views, "teacher_size": checked.teacher_size}
    searched = checked.space.distributions
    return [
        _line("recipe", f"{plan.recipe} of {checked.data.spec.name}"),
        *(
            _line("", f"  {key:<14} {values[key]}{' (searched)' if key in searched else ''}; {origin}")
            for key, origin in checked.origins.items()
        ),
    ]


def _precision(checked: Checked) -> str:
    """The number format of the students, or what decides it at the start; nothing is timed here."""
    plan = checked.plan
    if plan.precision is not None:
        return plan.precision
    known = step_time_here(checked)
    if known is None:
        where = "" if plan.address == LOCAL else " on its nodes"
        return f"float32 or bfloat16, decided by a timed second{where} at the start"
    return f"{faster_precision([known.gain])} (measured before: bfloat16 is {known.gain:.2f} times as fast)"


def _confirmed(plan: StudyPlan) -> str:
    tuned = f", {len(plan.tuned_baselines)} tuned baselines" if plan.tuned_baselines else ""
    what = f"{plan.confirm_seeds} seeds of best {plan.n_confirmed}{tuned} and the ladder"
    return f"{plan.data_seeds} cuts x {what}" if plan.data_seeds > 1 else what


def _ablated(checked: Checked) -> list[str]:
    plan, n_runs = checked.plan, checked.plan.most_ablation_runs(checked.space)
    what = f"{plan.ablation_seeds} seeds of best1 without each setting and part, {OF_BEST} times as many of best1"
    if plan.confirm_seeds:
        what += ", those that the confirmation trains among them"
    return [_line("ablate", f"at most {n_runs} runs ({what})")] if n_runs else []


def _class_counts(counts: tuple[int, ...]) -> str:
    """Every class's count where they fit a line or two, else their number and range."""
    if len(counts) <= _MOST_COUNTS:
        return f"{' '.join(map(str, counts))} training images"
    return f"{len(counts)} classes of {max(counts)} to {min(counts)} training images"


def _space(space: SearchSpace) -> str:
    lines = [f"{space.name}: method {space.method}, {space.default_trials} trials", _wrap(space.purpose)]
    for knob in space.tunable:
        when = "".join(f"; only where {rule.text}" for rule in space.conditions if rule.knob == knob.name)
        text = f"  {knob.name:<16} {describe(knob.distribution)}; reference {knob.reference}{when}"
        lines.append(textwrap.fill(text, 80, subsequent_indent=" " * 19))
    return "\n".join(lines)


def _wrap(text: str) -> str:
    return textwrap.fill(text, 78, initial_indent="  ", subsequent_indent="  ")


def teacher_lines(checked: Checked) -> list[str]:
    """The teacher, and how it becomes a target; options that change nothing are left out."""
    spec, embeddings = checked.teacher, checked.embeddings
    smoothed = f", {spec.prior_smoothing:g} of it uniform" if spec.prior_smoothing else ""
    adjusted = f" with tau {spec.tau:g}" if spec.tau != 1 else ""
    read = "" if spec.features == "final" else f", features {spec.features}"
    size = f"{checked.teacher_size} px"
    uses = checked.plan.epochs / spec.views
    lines = [
        ("teacher", f"{spec.name}, {spec.form}{adjusted}, {size}{read}"),
        ("views", f"{spec.views} of each image; a student uses each {'once' if uses == 1 else f'{uses:.3g} times'}"),
        *([("weights", spec.weights)] if spec.weights else []),
        *([("embedding", f"of the classes, from {embeddings.source}")] if embeddings else []),
        ("prior", f"{spec.prior}{smoothed}"),
        *([("targets", f"out_of_fold, {spec.folds} folds")] if spec.targets == "out_of_fold" else []),
        ("passes", _passes(checked)),
    ]
    return [_line(label, text) for label, text in lines]


def _passes(checked: Checked) -> str:
    own, further = n_passes(checked)
    n_further = checked.plan.data_seeds - 1
    more = f"; {further:,} for each of {n_further} further cuts" if n_further else ""
    return f"{own:,} images{more}; none that are cached"


def _line(label: str, text: str) -> str:
    return textwrap.fill(
        f"{label:<9} {text}", 80, subsequent_indent=" " * 10, break_long_words=False, break_on_hyphens=False
    )
