"""Why a trial was stopped: every pruner's verdict against the rule itself, computed anew from the values alone."""

from binascii import crc32

import numpy as np
import optuna
import pytest

from study.strategy.pruners import PRUNERS, Verdict, verdict_on
from study.strategy.search_settings import make_pruner

RUNGS, N_TRIALS = (2, 4, 8), 60

#: Values of a trial by rung.
Values = dict[int, float]


def _bracket(number: int) -> int:
    """By Optuna's rule: a hash of the study's name and the trial's number; shares 4, 3 and 3 of 10."""
    place = crc32(f"played_{number}".encode()) % 10
    return 0 if place < 4 else 1 if place < 7 else 2


def _median(trials: dict[int, Values], number: int, epoch: int) -> tuple[float, float, int]:
    complete = [values[epoch] for other, values in trials.items() if other != number and 8 in values]
    return max(trials[number].values()), float(np.median(complete)), len(complete)


def _half(trials: dict[int, Values], number: int, epoch: int) -> tuple[float, float, int]:
    reached = np.sort([values[epoch] for values in trials.values() if epoch in values])[::-1]
    return trials[number][epoch], float(reached[max(1, len(reached) // 2) - 1]), len(reached)


def _half_of_bracket(trials: dict[int, Values], number: int, epoch: int) -> tuple[float, float, int]:
    mine = _bracket(number)
    return _half({other: values for other, values in trials.items() if _bracket(other) == mine}, number, epoch)


RULES = {"median": _median, "asha": _half, "hyperband": _half_of_bracket}


def test_every_pruner_that_stops_trials_has_a_rule_here() -> None:
    assert {name for name, kind in PRUNERS.items() if kind.bar} == {*RULES}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("seed", [0, 1])
def test_the_verdict_is_what_the_pruner_compared(settings, name: str, seed: int) -> None:
    pruner = make_pruner(settings(pruner=name, epochs=8, rungs=RUNGS))
    study = optuna.create_study(direction="maximize", study_name="played", pruner=pruner)
    rng, trials, stopped = np.random.default_rng(seed), dict[int, Values](), 0
    for number in range(N_TRIALS):
        trial = study.ask()
        trials[number] = {}
        for epoch in RUNGS:
            trials[number][epoch] = float(rng.normal())
            trial.report(trials[number][epoch], epoch)
            if epoch < 8 and trial.should_prune():
                (frozen,) = (one for one in study.get_trials() if one.number == number)
                found = verdict_on(name, pruner, study, frozen)
                assert found == Verdict(name, epoch, *RULES[name](trials, number, epoch))
                assert found.value < found.threshold
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                stopped += 1
                break
        else:
            study.tell(trial, trials[number][8])
    assert stopped > 10
