"""Plain rows of trials, computed from Optuna's trials and our epoch records."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite

from optuna.trial import FrozenTrial, TrialState

from search_spaces.knob import KnobValue
from study.strategy.objectives import SecondObjective, front, knee
from study.strategy.pruners import Verdict
from trainables.cckd.metrics import balanced_accuracy
from trainables.cckd.records import ClassCounts, EpochRecord


@dataclass(frozen=True)
class TrialRow:
    """One trial in its present state.

    Attributes:
        cause: why it failed; None if it has not.
        kind: how its knobs were chosen ('reference', 'points', 'lhs', 'sobol', a sampler); None if the driver died
            before that.
        records: its epochs so far, ascending.
        attempts: number of starts.
        keeps_guards: whether it is COMPLETE and keeps the guards; None without guards, or if that cannot be known.
        verdict: why it was pruned; None if it was not, or if an earlier version pruned it.
        interrupted: whether it is RUNNING and its driver has ended.
    """

    number: int
    state: str
    cause: str | None
    kind: str | None
    params: dict[str, KnobValue]
    records: tuple[EpochRecord, ...]
    attempts: int
    seed: int | None
    keeps_guards: bool | None = None
    verdict: Verdict | None = None
    interrupted: bool = False

    @property
    def stopped(self) -> str | None:
        """Why it trains no further, in words; None while it does."""
        last = self.records[-1].epoch if self.records else 0
        match self.state:
            case "COMPLETE":
                return "finished"
            case "FAIL":
                return f"failed: {self.cause}"
            case "PRUNED":
                return str(self.verdict) if self.verdict else f"pruned at epoch {last}"
        return f"interrupted after epoch {last}" if self.interrupted else None

    @property
    def val(self) -> ClassCounts | None:
        """Counts on D_val after the last evaluated epoch."""
        return last_val(self.records)

    @property
    def duration_s(self) -> float:
        """Seconds spent training and evaluating."""
        return duration_s(self.records)


@dataclass(frozen=True)
class Finalist:
    """A COMPLETE trial that may be confirmed; `value` is its balanced accuracy on D_val after the last epoch."""

    number: int
    params: dict[str, KnobValue]
    value: float


def trial_row(trial: FrozenTrial, records: Sequence[EpochRecord], keeps_guards: bool | None = None) -> TrialRow:
    """Return the row of `trial`, whose epochs are `records`."""
    stored = trial.user_attrs
    return TrialRow(
        number=trial.number,
        state=trial.state.name,
        cause=stored.get("cause"),
        kind=stored.get("kind"),
        params=dict(trial.params),
        records=tuple(records),
        attempts=int(stored.get("attempts", 0)),
        seed=stored.get("seed"),
        keeps_guards=keeps_guards,
        verdict=Verdict(**stored["verdict"]) if trial.state is TrialState.PRUNED and "verdict" in stored else None,
        interrupted=trial.state is TrialState.RUNNING and bool(stored.get("interrupted")),
    )


def finalists(complete: Iterable[FrozenTrial], top: int) -> tuple[Finalist, ...]:
    """Return the `top` best of `complete` trials, best first, equal ones by number."""
    ranked = sorted(complete, key=lambda trial: (-_value(trial), trial.number))
    return tuple(Finalist(trial.number, dict(trial.params), _value(trial)) for trial in ranked[:top])


def of_front(complete: Sequence[FrozenTrial], second: SecondObjective) -> tuple[Finalist, ...]:
    """Return the front of `complete` trials: knee, best by all classes, best by the second objective, then the rest."""
    sign = -1 if second.direction == "minimize" else 1
    points = [(trial.values[0], sign * trial.values[1]) for trial in complete]
    places = front(points)
    if not places:
        return ()
    first = knee([points[place] for place in places])
    order = dict.fromkeys([first, 0, len(places) - 1, *range(len(places))])
    found = [complete[places[place]] for place in order]
    return tuple(Finalist(trial.number, dict(trial.params), _value(trial)) for trial in found)


def unfit_cause(records: Sequence[EpochRecord], epochs: int) -> str | None:
    """Return why a trial with these records is not complete after `epochs` epochs; None if it is."""
    if not records:
        return "the trial ended without reporting an epoch"
    last = records[-1]
    if last.epoch < epochs:
        return f"the trial ended after epoch {last.epoch} of {epochs}"
    if last.val is None:
        return f"the last epoch, {last.epoch}, was not evaluated"
    if not isfinite(balanced_accuracy(last.val)):
        return f"the balanced accuracy after the last epoch is {balanced_accuracy(last.val)}"
    return None


def last_val(records: Sequence[EpochRecord]) -> ClassCounts | None:
    """Return the counts of the last evaluated epoch; None if no epoch was evaluated."""
    return next((record.val for record in reversed(records) if record.val is not None), None)


def duration_s(records: Sequence[EpochRecord]) -> float:
    """Return the seconds spent training and evaluating."""
    return sum(record.train_s + record.eval_s for record in records)


def _value(trial: FrozenTrial) -> float:
    """The first objective, the mean recall of all classes."""
    assert trial.values, "a COMPLETE trial has a value"
    return trial.values[0]
