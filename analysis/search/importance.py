"""The importance of knobs, for all classes and for each group: four measures on complete trials, against chance."""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import optuna
import pandas as pd
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, percent, plural
from analysis.search.fanova import fanova_shares
from analysis.search.forests import forest_importance, half_samples
from analysis.search.trial_matrix import Bools, Floats, TrialMatrix, targets, trial_matrix

#: Complete trials below which no importance is computed, and below which a ranking is not settled.
MIN_TRIALS = 8
SETTLED_TRIALS = 50

#: PED-ANOVA compares the best quarter with all trials; a tenth of a small study is too few trials.
TOP_SHARE = 0.25

PED_ANOVA = "PED-ANOVA (best 25 % of trials; Watanabe et al. 2023)"
FANOVA = "fANOVA (64 trees; Hutter et al. 2014)"
MEASURES = ("permutation", "mdi", "ped_anova", "fanova")


@dataclass(frozen=True)
class Importances:
    """The importance of each knob for each target.

    Attributes:
        frame: one row per (target, knob), targets as in TARGETS, the most important knob first: target, knob,
            permutation, mdi, ped_anova (each with _low and _high, 95 % over half-samples of the trials), fanova (NaN
            for a conditional knob), above_chance. permutation is the rise of a forest's squared
            error over the variance when the knob is shuffled; the others are shares that add up to 1. Empty where
            there were too few trials or knobs.
        n_complete: complete trials used.
        n_samples: half-samples behind the intervals.
        unranked: knobs left out, which never vary.
        floors: target -> the largest permutation importance among random columns in the same forests.
    """

    frame: pd.DataFrame
    n_complete: int
    n_samples: int
    unranked: tuple[str, ...]
    floors: Mapping[str, float] = field(default_factory=dict)

    @property
    def settled(self) -> bool:
        """Whether there are enough complete trials for a stable order."""
        return self.n_complete >= SETTLED_TRIALS

    def of(self, target: str) -> pd.DataFrame:
        """The rows of one target, the most important knob first."""
        return self.frame[self.frame["target"] == target].reset_index(drop=True) if len(self.frame) else self.frame


def importances(study: StudyData, *, n_samples: int = 50) -> Importances:
    """Return every knob's importance for every target with enough values."""
    trials = study.complete
    matrix = trial_matrix(trials, study.knobs)
    parts: list[pd.DataFrame] = []
    floors: dict[str, float] = {}
    for target, values in targets(study).items():
        known = np.isfinite(values)
        if known.sum() < MIN_TRIALS or len(matrix.knobs) < 2 or not np.ptp(values[known]):
            continue
        rows = TrialMatrix(matrix.knobs, matrix.x[known], matrix.present[known], ())
        kept = [trial for trial, used in zip(trials, known, strict=True) if used]
        part, floors[target] = _ranked(kept, rows, values[known], n_samples=n_samples)
        whole = [knob for knob, there in zip(rows.knobs, rows.present.T, strict=True) if there.all()]
        shares = fanova_shares(kept, whole, values[known], seed=0) if len(whole) > 1 else {}
        parts.append(part.assign(target=target, fanova=[shares.get(name, np.nan) for name in part["knob"]]))
    columns = ["target", "knob", *(f"{name}{end}" for name in MEASURES[:3] for end in ("", "_low", "_high"))]
    empty = pd.DataFrame(columns=[*columns, "fanova", "above_chance"])
    frame = pd.concat(parts, ignore_index=True)[list(empty)] if parts else empty
    return Importances(frame, len(trials), n_samples, matrix.unvaried, floors)


def importance_sentences(importances: Importances) -> list[str]:
    """Say which knobs are above chance, and which one other measures rank first; nothing without importances."""
    everyone = importances.of("all")
    if everyone.empty:
        return []
    above = everyone[everyone["above_chance"]]
    if above.empty:
        return [
            f"No knob is shown to matter: of {len(everyone)} none is above chance, the level of random columns in the "
            f"same forests.{unsettled(importances)}"
        ]
    first = above.iloc[0]
    between = f"{percent(first['permutation_low'], decimals=0)} to {percent(first['permutation_high'], decimals=0)} %"
    cost = f"{percent(first['permutation'], decimals=0)} % of the variance, 95 % interval {between}"
    others = {"PED-ANOVA": "ped_anova", "fANOVA": "fanova"}
    firsts = {label: everyone.sort_values(name, ascending=False)["knob"].iloc[0] for label, name in others.items()}
    by_knob: dict[str, list[str]] = {}
    for label, knob in firsts.items():
        by_knob.setdefault(knob, []).append(label)
    dissent = [
        f"{listing(labels)} {'puts' if len(labels) == 1 else 'put'} {knob} first"
        for knob, labels in by_knob.items()
        if knob != first["knob"]
    ]
    agreed = listing(dissent) if dissent else f"{listing(list(firsts))} agree"
    # Above chance in the forests, but the error added by shuffling may still be zero.
    leads = "matters most" if first["permutation_low"] > 0 else "ranks first, by a margin that may be zero"
    which = "only it is" if len(above) == 1 else f"{listing(list(above['knob']))} are"
    return [
        f"{first['knob']} {leads}: shuffling it adds an error of {cost}; {which} above chance among "
        f"{plural(len(everyone), 'knob')}. {agreed}.{unsettled(importances)}"
    ]


def unsettled(importances: Importances) -> str:
    """Return the caveat on a ranking from few trials, with a leading space; empty where there are enough trials."""
    if importances.settled:
        return ""
    return (
        f" The ranking is not settled: it rests on {plural(importances.n_complete, 'complete trial')}, "
        f"and below {SETTLED_TRIALS} a knob without effect can come first."
    )


def _ranked(
    trials: Sequence[FrozenTrial], rows: TrialMatrix, y: Floats, *, n_samples: int
) -> tuple[pd.DataFrame, float]:
    n_knobs = len(rows.knobs)
    shuffled, decrease = forest_importance(rows.x, y, rows.present, n_samples=n_samples, seed=0)
    permutation = shuffled.mean(axis=0)
    floor = float(permutation[n_knobs:].max())
    # Random columns take a part of the impurity; the shares of the knobs are taken among the knobs alone.
    impurity = decrease[:, :n_knobs] / decrease[:, :n_knobs].sum(axis=1, keepdims=True).clip(1e-12)
    halves = half_samples(len(y), n_samples, np.random.default_rng(0))
    ped_anova, resampled = ped_anova_shares(trials, rows.names, y, halves)
    frame = pd.DataFrame({"knob": rows.names})
    for name, value, samples in (
        ("permutation", permutation[:n_knobs], shuffled[:, :n_knobs]),
        ("mdi", impurity.mean(axis=0), impurity),
        ("ped_anova", ped_anova, resampled),
    ):
        low, high = np.percentile(samples, [2.5, 97.5], axis=0) - samples.mean(axis=0) + value
        frame[name] = value
        # A share lies between 0 and 1. The half-samples give the spread, the estimate from all trials gives the centre.
        frame[f"{name}_low"] = low if name == "permutation" else low.clip(0, 1)
        frame[f"{name}_high"] = high if name == "permutation" else high.clip(0, 1)
    frame["above_chance"] = frame["permutation"] > floor
    return frame.sort_values(["permutation", "knob"], ascending=[False, True], ignore_index=True), floor


def ped_anova_shares(
    trials: Sequence[FrozenTrial], names: Sequence[str], y: Floats, halves: Bools
) -> tuple[Floats, Floats]:
    """Return PED-ANOVA's shares (D,) from all trials, and (R, D) from those in each of `halves` (R, N).

    Conditional knobs are weighted by regime, as in Optuna 5 (condPED-ANOVA).
    """
    evaluator = PedAnovaImportanceEvaluator(target_quantile=TOP_SHARE)
    with _quiet_optuna():
        study = optuna.create_study(direction="maximize")
        # A study numbers its trials in this order, and `shares` looks the target up by number.
        study.add_trials(
            create_trial(params=trial.params, distributions=trial.distributions, value=float(value))
            for trial, value in zip(trials, y, strict=True)
        )

        def shares(kept: Bools) -> Floats:
            there = [trial for trial, used in zip(trials, kept, strict=True) if used]
            active = [name for name in names if any(name in trial.params for trial in there)]
            # With a custom target this evaluator takes lower values for better. It leaves out a trial whose target
            # is not finite: in this way one study yields every half-sample.
            found = evaluator.evaluate(
                study, params=active, target=lambda trial: -y[trial.number] if kept[trial.number] else np.nan
            )
            raw = np.array([found.get(name, 0.0) for name in names])
            return raw / raw.sum() if raw.sum() > 0 else np.full(len(names), 1 / len(names))

        return shares(np.ones(len(y), dtype=bool)), np.array([shares(half) for half in halves])


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Silence Optuna's message on every in-memory study, and its warnings on targets and experimental features."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
