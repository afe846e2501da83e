"""The exchange between head and tail: its price in recall, the flow of errors, and the separation of features."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import nan

import pandas as pd

from analysis.reading.study_data import StudyData
from analysis.reading.wording import bounds, isolated, listing, plural, points
from analysis.results.accuracies import claims_by_subset, scores
from analysis.results.class_gains import class_gains, group_of
from analysis.results.comparisons import paired_gain
from analysis.results.entries import BEST, TEACHER, entries_in_order
from analysis.results.subset_gains import class_gains_over_subsets
from analysis.stats.paired_tests import MIN_PAIRS, PairedInterval, spread
from study.schema import GROUPS

#: Classes below a baseline that a sentence names.
_MOST_NAMED = 5

#: From so many classes on, one interval or more lies below 0 by chance alone.
_MANY_CLASSES = 40


def exchange(study: StudyData, *, baselines: Sequence[str] = ("la",)) -> pd.DataFrame:
    """Return one row per (baseline, entry): the gains of Few and Many, and the points of Many lost per point of Few.

    Columns: entry, baseline, n, few, few_low, few_high, many, many_low, many_high (fractions, 95 % paired t intervals),
    price: by the rule of `_price`.
    """
    table = scores(study)
    present = entries_in_order(table["entry"])
    rows = []
    for baseline in (name for name in baselines if name in present):
        for entry in (name for name in present if name not in (TEACHER, baseline)):
            few, many = (paired_gain(table, entry, baseline, column=column) for column in ("few", "many"))
            if not few.n or not many.n:
                continue
            gains = (few.mean, few.low, few.high, many.mean, many.low, many.high)
            rows.append((entry, baseline, few.n, *gains, _price(few, many)))
    columns = ["entry", "baseline", "n", "few", "few_low", "few_high", "many", "many_low", "many_high", "price"]
    return pd.DataFrame(rows, columns=columns)


def _price(few: PairedInterval, many: PairedInterval) -> float:
    """Return the points of Many lost per point of Few, by the gains of both groups. This is the one rule for a price.

    It is -many / few where Few's interval lies above 0 and Many's below, and 0 where Few gains and Many shows no loss.
    It is NaN where Few shows no gain: a ratio to a number near 0 has no bound. MIN_PAIRS pairs show either.
    """
    if few.verdict != "gain" or many.verdict == "too few":
        return nan
    return -many.mean / few.mean if many.verdict == "loss" else 0.0


def price_sentences(study: StudyData, baseline: str) -> list[str]:
    """Say what best1 differs from a baseline in Few and Many, and which classes lie below the baseline.

    These are descriptions: no sentence here passed the family of the report's claims.
    """
    table = scores(study)
    few, medium, many = (paired_gain(table, BEST, baseline, column=column) for column in ("few", "medium", "many"))
    sides = [(name, gain) for name, gain in (("Few", few), ("Many", many)) if gain.n]
    if not sides:
        return ["The price for the head is not known: the groups Many and Few are empty."]
    if len(sides) < 2 and medium.n:  # one group alone would say nothing of where it comes from
        sides.insert(1 if few.n else 0, ("Medium", medium))
    figures = listing([f"{name} {points(gain.mean)} points {bounds(gain)}" for name, gain in sides])
    said = f"By groups, {BEST} minus {baseline}, not tested: {figures}."
    if not (few.n and many.n) or "too few" in (few.verdict, many.verdict):
        return [said, *_losing_classes(study, baseline)]
    if (price := _price(few, many)) > 0:
        told = f"Per point more on Few there are {price:.2f} points less on Many."
    elif many.verdict == "loss":
        told = f"Many lies below {baseline} with its whole 95 % interval; Few shows no gain."
    else:
        told = "No price for the head is shown."
    return [f"{said} {told}", *_losing_classes(study, baseline)]


def _losing_classes(study: StudyData, baseline: str) -> list[str]:
    """Name the classes whose interval lies below 0, the largest loss first, and say what Holm's correction leaves."""
    by_class = class_gains_over_subsets if claims_by_subset(study) else class_gains
    gains = by_class(study, entries=(BEST,), baseline=baseline)
    below = gains[gains["high"] < 0].sort_values("gain", kind="stable")
    if gains["low"].isna().all():
        return []
    if below.empty:
        return [f"No class lies below {baseline} with its whole 95 % interval."]
    named = [
        f"{isolated(name)} ({group.capitalize() or 'in no group'}) {points(gain)} points "
        f"({points(low)} to {points(high)})"
        for name, group, gain, low, high in below[["class_name", "group", "gain", "low", "high"]]
        .head(_MOST_NAMED)
        .itertuples(index=False)
    ]
    more = [f"{len(below) - _MOST_NAMED} more"] if len(below) > _MOST_NAMED else []
    n, n_apart = len(gains), int((below["verdict"] == "loss").sum())
    lie, their = ("lies", "its") if len(below) == 1 else ("lie", "their")
    by_chance = f" Of {n} classes {0.025 * n:.0f} would lie there by chance." if n >= _MANY_CLASSES else ""
    told = (
        f"No class is told apart: that takes {MIN_PAIRS} pairs of runs."
        if (gains["verdict"] == "too few").all()
        else f"Holm's correction for all classes leaves {n_apart or 'none'} of them."
    )
    return [
        f"{len(below)} of {plural(n, 'class', 'classes')} {lie} below {baseline} with {their} whole 95 % interval: "
        f"{listing([*named, *more])}. {told}{by_chance}"
    ]


def confusion_flow(study: StudyData, *, entries: Sequence[str]) -> pd.DataFrame:
    """Return one row per (entry, true group): how the group's test images were classified, as shares of them.

    Columns: entry, group, n_seeds, n_test (per seed), right, and for each group `to_<group>` (wrong, predicted as a
    class of that group), with `_sd` of each over seeds. Shares are over images, not means of recalls.
    """
    table = study.confusion.assign(
        group=[group_of(study, int(i)) for i in study.confusion["class_id"]],
        given=[group_of(study, int(i)) for i in study.confusion["predicted_id"]],
        right=study.confusion["class_id"] == study.confusion["predicted_id"],
    )
    rows = [{"entry": entry, "group": group, **_shares(inside)} for entry, group, inside in _by_group(table, entries)]
    return pd.DataFrame(rows, columns=None if rows else ["entry", "group"])


def group_separability(study: StudyData, *, entries: Sequence[str]) -> pd.DataFrame:
    """Return one row per (entry, group): feature distances of its classes, in units of the distance between classes.

    Columns: entry, group, n_seeds, n_classes, deviation, deviation_sd, spread, spread_sd. `deviation` is the distance
    of the training mean from the test mean. `spread` is the distance of test images from their class mean. Each is
    divided by the mean distance between classes, averaged over the group's classes, then mean and sd over seeds.
    """
    table = study.separability
    table = table.assign(
        group=[group_of(study, int(i)) for i in table["class_id"]],
        deviation=table["deviation"].astype(float) / table["inter"].astype(float),
        spread=table["intra"].astype(float) / table["inter"].astype(float),
    )
    rows = []
    for entry, group, inside in _by_group(table, entries):
        of_seed = inside.groupby("seed")[["deviation", "spread"]].mean()
        deviation, apart = spread(of_seed["deviation"]), spread(of_seed["spread"])
        n_classes = inside["class_id"].nunique()
        rows.append((entry, group, len(of_seed), n_classes, deviation.mean, deviation.sd, apart.mean, apart.sd))
    columns = ["entry", "group", "n_seeds", "n_classes", "deviation", "deviation_sd", "spread", "spread_sd"]
    return pd.DataFrame(rows, columns=columns)


def leading_confusions(study: StudyData, *, entry: str, baseline: str, n: int = 8) -> pd.DataFrame:
    """Return the `n` pairs of classes that `baseline` confuses most, with the true class in Few if Few has classes.

    Columns: class_id, class_name, predicted_id, predicted_name, n_seeds, baseline, entry (mean test images per seed).
    """
    wrong = study.confusion[study.confusion["class_id"] != study.confusion["predicted_id"]]
    few = set(study.groups.get("few", ()))
    tail = wrong[wrong["class_id"].isin(few)] if few else wrong
    names = study.manifest["data"]["classes"]
    means = {}
    for name in (entry, baseline):
        seeds = study.confusion.loc[study.confusion["entry"] == name, "seed"].nunique()
        of_entry = tail[tail["entry"] == name].groupby(["class_id", "predicted_id"])["n"].sum()
        means[name] = of_entry / max(seeds, 1)
    ranked = means[baseline].sort_values(ascending=False, kind="stable").head(n)
    n_seeds = study.confusion.loc[study.confusion["entry"] == entry, "seed"].nunique()
    again = means[entry].reindex(ranked.index, fill_value=0.0)
    pairs = zip(ranked.reset_index().to_numpy().tolist(), again.tolist(), strict=True)
    rows = [
        (int(true), str(names[int(true)]), int(given), str(names[int(given)]), n_seeds, value, of_entry)
        for (true, given, value), of_entry in pairs
    ]
    columns = ["class_id", "class_name", "predicted_id", "predicted_name", "n_seeds", "baseline", "entry"]
    return pd.DataFrame(rows, columns=columns)


def _by_group(table: pd.DataFrame, entries: Sequence[str]) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield entry, group and their rows in `table`, where there are any."""
    parts = dict(list(table.groupby(["entry", "group"])))
    return ((*key, parts[key]) for key in product(entries, GROUPS) if key in parts)


def _shares(inside: pd.DataFrame) -> dict[str, float]:
    seen = inside.groupby("seed")["n"].sum()
    shares: dict[str, float] = {"n_seeds": len(seen), "n_test": float(seen.mean())}
    parts = {"right": inside["right"]}
    parts |= {f"to_{group}": ~inside["right"] & (inside["given"] == group) for group in GROUPS}
    for name, part in parts.items():
        found = spread(inside[part].groupby("seed")["n"].sum().reindex(seen.index, fill_value=0) / seen)
        shares |= {name: found.mean, f"{name}_sd": found.sd}
    return shares
