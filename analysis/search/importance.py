"""The importance of knobs, for all classes and for each group: a screen that decides, and two second opinions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from optuna.trial import FrozenTrial

from analysis.reading.study_data import StudyData
from analysis.reading.wording import listing, p_value, percent, plural
from analysis.search.group_knobs import GroupEffect, group_effects, group_sentences
from analysis.search.screen import MIN_TRIALS, Screen, screen
from analysis.search.trial_matrix import Bools, Floats, TrialMatrix, n_learned, stages, targets, trial_matrix
from analysis.stats.fanova import fanova_shares
from analysis.stats.ped_anova import ped_anova_shares

#: PED-ANOVA compares the best quarter with all trials; a tenth of a small study is too few trials.
TOP_SHARE = 0.25

PED_ANOVA = "PED-ANOVA (best 25 % of trials; Watanabe et al. 2023)"
FANOVA = "fANOVA (64 trees; Hutter et al. 2014)"

_COLUMNS = (
    "target", "knob", "p", "p_family", "matters", "share", "n", "ped_anova", "ped_anova_low", "ped_anova_high",
    "fanova",
)  # fmt: skip


@dataclass(frozen=True)
class Importances:
    """The importance of each knob for each target.

    Attributes:
        frame: one row per (target, knob), targets as in TARGETS, the clearest knob first: target, the columns of
            `Screen.frame`, ped_anova (with _low and _high, 95 % over half-samples of the trials), fanova (NaN for a
            conditional knob). Both are shares that add up to 1. Empty where there were too few trials or knobs.
        n_complete: complete trials used.
        unranked: knobs left out, which never vary.
        noise: target -> share of the variance that no knob's main effect explains.
        n_learned: complete trials that were chosen by a sampler that learns.
        groups: the knobs that are shown to matter for a group of classes.
    """

    frame: pd.DataFrame
    n_complete: int
    unranked: tuple[str, ...]
    noise: Mapping[str, float] = field(default_factory=dict)
    n_learned: int = 0
    groups: tuple[GroupEffect, ...] = ()

    def of(self, target: str) -> pd.DataFrame:
        """The rows of one target, the clearest knob first."""
        return self.frame[self.frame["target"] == target].reset_index(drop=True) if len(self.frame) else self.frame

    def named(self, target: str) -> list[str]:
        """The knobs that are shown to matter for one target, the clearest first."""
        rows = self.of(target)
        return list(rows.loc[rows["matters"].astype(bool), "knob"]) if len(rows) else []


def importances(study: StudyData, *, n_samples: int = 50) -> Importances:
    """Return every knob's importance for every target with enough values."""
    trials = study.complete
    parts: list[pd.DataFrame] = []
    noise: dict[str, float] = {}
    for target, known, rows, values, screened in _screens(study):
        kept = [trial for trial, used in zip(trials, known, strict=True) if used]
        noise[target] = screened.noise
        parts.append(_measured(kept, rows, values, screened, n_samples=n_samples).assign(target=target))
    frame = pd.concat(parts, ignore_index=True)[list(_COLUMNS)] if parts else pd.DataFrame(columns=list(_COLUMNS))
    unvaried, groups = trial_matrix(trials, study.knobs).unvaried, group_effects(study, frame.to_dict("records"))
    return Importances(frame, len(trials), unvaried, noise, n_learned(trials), groups)


def screened_knobs(study: StudyData) -> list[str]:
    """Return the knobs that are shown to matter for all classes, the clearest first, as `importances` names them."""
    return next((found.named for target, _, _, _, found in _screens(study) if target == "all"), [])


def _screens(study: StudyData) -> Iterator[tuple[str, Bools, TrialMatrix, Floats, Screen]]:
    """Yield each target with enough values: which complete trials have one, their rows, the values, the judgement."""
    trials = study.complete
    matrix, stage = trial_matrix(trials, study.knobs), stages(trials)
    for target, values in targets(study).items():
        known = np.isfinite(values)
        if known.sum() < MIN_TRIALS or len(matrix.knobs) < 2 or not np.ptp(values[known]):
            continue
        rows = matrix.rows(known)
        yield target, known, rows, values[known], screen(rows, values[known], stage[known])


def importance_sentences(importances: Importances) -> list[str]:
    """Say which knobs are shown to matter, and which one other measures rank first; nothing without importances."""
    everyone = importances.of("all")
    if everyone.empty:
        return []
    n_knobs, named = plural(len(everyone), "knob"), everyone[everyone["matters"].astype(bool)]
    trials = plural(importances.n_complete, "complete trial")
    if named.empty:
        noise = percent(importances.noise.get("all", np.nan), decimals=0)
        return [
            f"None of {n_knobs} is shown to matter for all classes in {trials}. About {noise} % of the variance "
            "between trials is no main effect of any knob.",
            *group_sentences(importances.groups, learned=importances.n_learned > 0),
        ]
    parts = [
        f"{row['knob']} ({percent(row['share'], decimals=0)} %, p {p_value(row['p_family'])})"
        for row in named.to_dict("records")
    ]
    by_knob: dict[str, list[str]] = {}
    for label, measure in (("PED-ANOVA", "ped_anova"), ("fANOVA", "fanova")):
        by_knob.setdefault(str(everyone.sort_values(measure, ascending=False)["knob"].iloc[0]), []).append(label)
    dissent = [
        f"{listing(labels)} {'puts' if len(labels) == 1 else 'put'} {knob} first"
        for knob, labels in by_knob.items()
        if knob != named["knob"].iloc[0]
    ]
    second = f" {listing(dissent)}." if dissent else ""
    learned = ", but is too small where a sampler learned" * bool(importances.n_learned)
    return [
        f"Of {n_knobs} {len(named)} {'is' if len(named) == 1 else 'are'} shown to matter in {trials}: "
        f"{listing(parts)}. The share is of the variance between trials; p holds for all knobs together{learned}."
        f"{second}",
        *group_sentences(importances.groups, learned=importances.n_learned > 0, named=set(named["knob"])),
    ]


def _measured(
    trials: Sequence[FrozenTrial], rows: TrialMatrix, y: Floats, screened: Screen, *, n_samples: int
) -> pd.DataFrame:
    """Put the second opinions beside the screen's judgement."""
    halves = half_samples(len(y), n_samples, np.random.default_rng(0))
    samples = np.vstack([np.ones((1, len(y)), dtype=bool), halves])
    shares, *resampled = ped_anova_shares(trials, rows.names, y, samples, top=TOP_SHARE)
    # A share lies between 0 and 1. The half-samples give the spread, the estimate from all trials gives the centre.
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0) - np.mean(resampled, axis=0) + shares
    frame = pd.DataFrame(
        {
            "knob": rows.names,
            "ped_anova": shares,
            "ped_anova_low": low.clip(0, 1),
            "ped_anova_high": high.clip(0, 1),
        }
    )
    whole = [knob for knob, there in zip(rows.knobs, rows.present.T, strict=True) if there.all()]
    of_knob = fanova_shares(trials, whole, y, seed=0) if len(whole) > 1 else {}
    frame["fanova"] = [of_knob.get(name, np.nan) for name in frame["knob"]]
    return screened.frame.merge(frame, on="knob", validate="one_to_one")


def half_samples(n: int, n_samples: int, rng: np.random.Generator) -> Bools:
    """Return (n_samples, n) masks of n // 2 trials each, drawn without replacement.

    A statistic varies over half-samples as over bootstrap samples (Buja & Stuetzle 2006). Half-samples repeat no trial,
    which density estimates would take for structure.
    """
    masks = np.zeros((n_samples, n), dtype=bool)
    for mask in masks:
        mask[rng.permutation(n)[: n // 2]] = True
    return masks
