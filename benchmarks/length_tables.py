"""The recorded runs of `benchmarks.training_length` and the tables of them."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from analysis.stats.paired_tests import paired_interval, spread
from analysis.stats.pooled_interval import pooled_intervals
from trainables.cckd.config import TrialConfig
from trainables.cckd.long_tail import groups_of
from trainables.cckd.methods import METHODS
from trainables.cckd.metrics import balanced_accuracy, group_accuracy
from trainables.cckd.precision import Precision
from trainables.cckd.records import ClassCounts

#: Most points that twice the length may add to a rung that is trained out.
LIMIT = 1.5

#: The rungs, at their reference points, that the others are compared with.
BASELINES = ("la", "kd", "cckd")

#: What differs between the runs of one setting.
_VARIES = ("method", "seed", "epochs")


@dataclass(frozen=True)
class Row:
    """One trained student.

    Attributes:
        data: the data set as on the command line.
        teacher: form and number of views of the teacher.
        config: the flat configuration.
        val: epoch -> correct answers per class on D_val, (C,).
        val_seen: images of D_val per class, (C,).
        train_counts: training images per class, (C,).
        test: correct answers per class on the test set, and its images per class; None where it stayed closed.
        train_s: seconds of the training epochs.
        where: machine and commit.
        precision: number format of the student's passes.
    """

    data: str
    teacher: str
    config: dict[str, Any]
    val: dict[str, list[int]]
    val_seen: list[int]
    train_counts: list[int]
    test: dict[str, list[int]] | None
    train_s: float
    where: str
    precision: Precision = "float32"

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Inverse of `to_json`."""
        return cls(**json.loads(line))

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells the run from others: data, teacher, precision, and the flat configuration as JSON.

        A row of an earlier version lacks the settings that came later; they stood at their defaults.
        """
        return self.data, self.teacher, self.precision, json.dumps(TrialConfig.build(self.config).flat())

    @property
    def setting(self) -> str:
        """All that is equal for the rungs that are compared: data, teacher, precision, batch, optimiser, schedule."""
        own = METHODS[self.config["method"]]
        shared = {key: value for key, value in self.config.items() if key not in (*_VARIES, *own)}
        reference = TrialConfig.build({"method": "ce"}).flat()
        changed = [f"{key}={value}" for key, value in shared.items() if value != reference.get(key)]
        precision = [] if self.precision == "float32" else [self.precision]
        return " ".join([self.data, self.teacher, *precision, *changed])

    @property
    def rung(self) -> str:
        """The method, with the knobs that are not at its reference."""
        method = self.config["method"]
        reference = METHODS[method]
        own = {key: value for key, value in self.config.items() if key in reference and value != reference[key]}
        changed = [f"{key}={value:g}" if isinstance(value, float) else f"{key}={value}" for key, value in own.items()]
        return " ".join([method, *changed])

    def accuracy(self, correct: Sequence[int], seen: Sequence[int]) -> dict[str, float]:
        """Balanced accuracy and the mean recall of each group, in per cent."""
        counts, groups = ClassCounts(tuple(correct), tuple(seen)), groups_of(self.train_counts)
        members = {"many": groups.many, "medium": groups.medium, "few": groups.few}
        found = {"all": balanced_accuracy(counts)}
        found |= {name: group_accuracy(counts, classes).value for name, classes in members.items() if classes}
        return {name: 100 * value for name, value in found.items()}

    @property
    def at_end(self) -> dict[str, float]:
        """`accuracy` on D_val after the last epoch."""
        return self.accuracy(self.val[str(self.config["epochs"])], self.val_seen)

    @property
    def on_test(self) -> dict[str, float]:
        """`accuracy` on the test set; empty where it stayed closed."""
        return self.accuracy(self.test["correct"], self.test["seen"]) if self.test else {}


def read_rows(path: Path) -> list[Row]:
    """Return every recorded run; one that was trained again, to open the test set, stands once, as it was last."""
    rows = map(Row.from_json, path.read_text().splitlines() if path.exists() else ())
    return list({row.key: row for row in rows}.values())


def table(rows: Sequence[Row]) -> str:
    """As Markdown, in per cent and points: the mean over seeds, and what twice the length adds."""
    lines = [
        "| setting | rung | epochs | steps | n | D_val | many | medium | few | twice the length adds (upper bound) "
        "| test | many on test | medium on test | few on test | s per run |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for setting in dict.fromkeys(row.setting for row in rows):
        of_setting = [row for row in rows if row.setting == setting]
        added = _added(of_setting)
        for (rung, epochs), runs in _by_rung(of_setting).items():
            ends = [row.at_end for row in runs]
            more = added.get((rung, epochs))
            tests = [row.on_test for row in runs if row.test]
            cells = [
                setting,
                rung,
                epochs,
                epochs * (sum(runs[0].train_counts) // runs[0].config["batch_size"]),
                len(runs),
                _mean_sd([end["all"] for end in ends]),
                *_group_means(ends),
                _told(*more) if more else "",
                _mean_sd([end["all"] for end in tests]) if tests else "",
                *_group_means(tests),
                f"{np.mean([row.train_s for row in runs]):.0f}",
            ]
            lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def differences(rows: Sequence[Row]) -> str:
    """As Markdown, in points: every rung minus each of BASELINES before it, paired by seed, with 95 % t intervals.

    A rung with a changed knob is compared with itself at its reference too.
    The last column says what becomes of the difference on D_val at twice the length: how much it grows.
    """
    lines = [
        "| setting | epochs | difference | n | D_val | few on D_val | test | few on test | twice the length adds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for setting in dict.fromkeys(row.setting for row in rows):
        by_rung = _by_rung([row for row in rows if row.setting == setting])
        for rung, epochs in sorted(by_rung, key=_place):
            before = BASELINES[: BASELINES.index(rung)] if rung in BASELINES else BASELINES
            for baseline in dict.fromkeys([*before, rung.split()[0]]):
                pairs = _pairs(by_rung, rung, baseline, epochs)
                if rung == baseline or len(pairs) < 2:
                    continue
                gains, few = _gains(pairs, "all"), _gains(pairs, "few")
                opened = {seed: pair for seed, pair in pairs.items() if pair[0].test and pair[1].test}
                on_test, few_on_test = (_gains(opened, classes, on_test=True) for classes in ("all", "few"))
                longer = _gains(_pairs(by_rung, rung, baseline, 2 * epochs), "all")
                growth = [longer[seed] - gains[seed] for seed in longer if seed in gains]
                columns = (gains.values(), few.values(), on_test.values(), few_on_test.values(), growth)
                told = [_interval(values) if len(values) > 1 else "" for values in columns]
                lines.append(f"| {setting} | {epochs} | {rung} - {baseline} | {len(pairs)} | {' | '.join(told)} |")
    return "\n".join(lines)


def _pairs(
    by_rung: Mapping[tuple[str, int], Sequence[Row]], rung: str, baseline: str, epochs: int
) -> dict[int, tuple[Row, Row]]:
    """Return seed -> runs of a rung and of a baseline that have this seed and length."""
    before = {row.config["seed"]: row for row in by_rung.get((baseline, epochs), ())}
    after = {row.config["seed"]: row for row in by_rung.get((rung, epochs), ())}
    return {seed: (after[seed], before[seed]) for seed in after if seed in before}


def _gains(pairs: Mapping[int, tuple[Row, Row]], classes: str, *, on_test: bool = False) -> dict[int, float]:
    """Return seed -> what the first run of a pair is ahead on D_val or on test, in points; none without `classes`."""
    found = {seed: [run.on_test if on_test else run.at_end for run in pair] for seed, pair in pairs.items()}
    return {seed: after[classes] - ours[classes] for seed, (after, ours) in found.items() if classes in ours}


def _group_means(ends: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the means of Many, Medium and Few; empty where there is no such class or no run."""
    groups = [[end[name] for end in ends if name in end] for name in ("many", "medium", "few")]
    return [f"{np.mean(values):.1f}" if values else "" for values in groups]


def _place(of: tuple[str, int]) -> tuple[int, int, str]:
    rung, epochs = of
    return epochs, list(METHODS).index(rung.split()[0]), rung


def _interval(differences: Collection[float]) -> str:
    by = paired_interval(list(differences))
    return f"{by.mean:+.1f} ({by.low:+.1f} to {by.high:+.1f})"


def _mean_sd(values: Sequence[float]) -> str:
    of = spread(values)
    return f"{of.mean:.1f} ± {of.sd:.1f}"


def _told(added: float, bound: float) -> str:
    return f"{added:+.1f} ({bound:+.1f}{'' if bound < LIMIT else ', not trained out'})"


def _by_rung(rows: Sequence[Row]) -> dict[tuple[str, int], list[Row]]:
    found: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.rung, row.config["epochs"]].append(row)
    return dict(sorted(found.items()))


def _added(rows: Sequence[Row]) -> dict[tuple[str, int], tuple[float, float]]:
    """(rung, epochs) -> points that twice the epochs add on D_val, paired by seed, and their upper 95 % bound.

    The standard deviation of the paired differences is pooled over the rungs of a setting and a length.
    """
    by_rung = _by_rung(rows)
    differences = {}
    for (rung, epochs), short in by_rung.items():
        ends = {row.config["seed"]: row.at_end["all"] for row in by_rung.get((rung, 2 * epochs), ())}
        paired = [ends[row.config["seed"]] - row.at_end["all"] for row in short if row.config["seed"] in ends]
        if len(paired) > 1:
            differences[rung, epochs] = paired
    found: dict[tuple[str, int], tuple[float, float]] = {}
    for length in {epochs for _, epochs in differences}:
        of_length = {key: paired for key, paired in differences.items() if key[1] == length}
        intervals = pooled_intervals(list(of_length.values()))
        found |= {key: (one.mean, one.high) for key, one in zip(of_length, intervals, strict=True)}
    return found
