"""The fits that the benchmark compares, on a set of seconds: the probe of means is no worse than that of views."""

import re

import numpy as np
import pytest

from benchmarks.probe_fit import FITS, judge, main, simulate


def test_every_fit_is_judged_and_means_are_no_worse(capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--classes", "12", "--features", "24", "--largest", "60", "--views", "6", "--apart", "0.8"]
    assert main(flags) == 0
    lines = re.findall(r"^(\w+) .* loss ([\d.]+), balanced accuracy ([\d.]+) %", capsys.readouterr().out, re.MULTILINE)
    found = {name: (float(loss), float(right)) for name, loss, right in lines}
    assert list(found) == list(FITS)
    (loss, right), (of_views, _), (of_one_view, _), (to_the_end, _), (of_means, right_of_means) = found.values()
    assert of_views == pytest.approx(loss, rel=0.01)
    assert to_the_end < 1.01 * loss < of_one_view
    assert of_means < 1.01 * to_the_end
    assert right_of_means > right - 1.5


def test_the_simulated_set_has_a_long_tail_and_a_balanced_val() -> None:
    train, labels, val, val_labels = simulate(5, 6, 40, 3, apart=1.0)
    counts = np.bincount(labels)
    assert (counts[0], counts[-1]) == (40, 5)
    assert train.shape == (counts.sum(), 3, 6)
    assert val.shape == (len(val_labels), 6)
    assert set(np.bincount(val_labels)) == {20}
    within = train.astype(float).var(axis=1).mean()
    assert 0 < within < train.astype(float).var(axis=(0, 1)).mean(), "views differ less than images"


def test_a_judgement_is_the_mean_loss_and_accuracy() -> None:
    logits = np.log(np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]], np.float32))
    loss, right = judge(logits, np.array([0, 1, 1]))
    assert loss == pytest.approx(-np.log([0.7, 0.6, 0.1]).mean(), rel=1e-6)
    assert right == pytest.approx(2 / 3)
