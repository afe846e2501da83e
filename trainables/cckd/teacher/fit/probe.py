"""The linear probe: logit-adjusted multinomial regression on standardised, frozen features.

It minimises mean CE(W f + b + tau log p_tr, y) + L2/2 |W|^2 (Menon et al., ICLR 2021, eq. 10) and predicts with raw
W f + b. At tau = 1 it is balanced; at tau = 0 it is plain regression, which favours the head. The strength L2 is chosen
on D_val. The training accuracy is kept too, because a probe that memorises has hard targets.

Every view is a row of its own up to row_blocks.MOST_PRODUCTS. Above it an image is one row, its views in expectation.
Such a set has more weights than rows. So its fits end early, and D_val judges the very fits that are kept.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.metrics import accuracy, balanced_accuracy, count_classes
from trainables.cckd.teacher.fit.fit_steps import FitSteps
from trainables.cckd.teacher.fit.row_blocks import StandardRows, feature_statistics, rows_per_image, view_means
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression, Solver
from trainables.cckd.teacher.readout import Readout

#: L2 strengths to try, times the number of classes C, strongest first: each fit starts from the result of the stronger
#: one. The curvature of the loss by the weights of a class falls with 1/C, and the strength is compared with it.
STRENGTHS = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1)
#: More where an image is one row: its views in expectation do a part of what a strength is for.
STRENGTHS_OF_MEANS = (*STRENGTHS, 0.03, 0.01, 0.003, 0.001)

#: The search ends after so many strengths in a row that are worse on D_val than the best one.
_WORSE_IN_A_ROW = 2

#: Relative decrease per iteration at which the fit of a strength stops, while it is searched and once it is chosen.
_SEARCH_TOLERANCE, _FINAL_TOLERANCE = 1e-4, 1e-6
#: The same where an image is one row, and what ends there is kept as it is. Below 1 SciPy's tolerance is absolute, so
#: that weak strengths end ever earlier. Fitted to the end they are no better on D_val (`benchmarks/probe_fit.py`).
_TOLERANCE_OF_MEANS = 1e-3


class StrengthRow(NamedTuple):
    """The result of one L2 strength; accuracies are fractions."""

    strength: float
    train_accuracy: float
    val_accuracy: float
    val_balanced_accuracy: float
    iterations: int


@dataclass(frozen=True, eq=False, kw_only=True)
class ProbeFit(Readout):
    """A fitted probe: an affine readout with its results.

    Attributes:
        strength: the L2 strength chosen.
        path: one row per strength that was tried, strongest first.
    """

    strength: float
    path: tuple[StrengthRow, ...]


def fit_probe(
    train_features: NDArray[np.float16],
    train_labels: NDArray[np.int64],
    val_features: NDArray[np.float16],
    val_labels: NDArray[np.int64],
    *,
    n_classes: int,
    tau: float = 1.0,
    strengths: Sequence[float] | None = None,
    steps: FitSteps | None = None,
    device: str = "cpu",
) -> ProbeFit:
    """Fit along the L2 path; keep the strength with the best balanced accuracy on D_val (ties: the largest).

    The path ends early where D_val is past its best. Where every view is a row, the chosen strength is then fitted to a
    finer tolerance.

    Args:
        train_features: raw, (N, V, D); every cached view is a sample, so the teacher needs no extra pass.
        train_labels: int64 (N,), every class present.
        val_features: raw, (M, D).
        val_labels: int64 (M,).
        n_classes: C.
        tau: strength of the logit adjustment.
        strengths: L2 strengths to try; None for the default ones.
        steps: runs and keeps the steps, `n_steps` of them with the default strengths.
        device: where the products of a pass are computed, 'cpu' or 'cuda'.
    """
    steps = steps or FitSteps()
    mean, std = feature_mean, feature_std = feature_statistics(train_features)
    problem = _problem(train_features, train_labels, mean, std, n_classes=n_classes, tau=tau, device=device)
    solver = Solver(problem)
    val_rows = StandardRows(val_features[:, None], feature_mean, feature_std, n_classes=n_classes)

    def judged(strength: float, affine: Affine, iterations: int) -> StrengthRow:
        seen = count_classes(problem.predict(problem.rows, affine), problem.labels, n_classes)
        val = count_classes(problem.predict(val_rows, affine), val_labels, n_classes)
        return StrengthRow(strength, accuracy(seen), accuracy(val), balanced_accuracy(val), iterations)

    of_means = problem.spread is not None
    tolerance = _TOLERANCE_OF_MEANS if of_means else _SEARCH_TOLERANCE
    if strengths is None:
        strengths = [strength / n_classes for strength in (STRENGTHS_OF_MEANS if of_means else STRENGTHS)]
    left = sorted(strengths, reverse=True)
    path: list[StrengthRow] = []
    best: tuple[StrengthRow, Affine] | None = None
    affine = Affine.zero(n_classes, train_features.shape[-1])
    while left and not _is_past_its_best([row.val_balanced_accuracy for row in path]):
        strength = left.pop(0)
        searched = partial(solver.minimise, strength, affine, tolerance=tolerance)
        affine, iterations = steps.run(f"strength {strength:g}", searched)
        row = judged(strength, affine, iterations)
        path.append(row)
        # The stronger one of equals stays. Equal means may differ in the last bit, so they are rounded.
        if best is None or round(row.val_balanced_accuracy, 9) > round(best[0].val_balanced_accuracy, 9):
            best = row, affine
        steps.count(1, f"strength {strength:g}: {row.val_balanced_accuracy:.1%} on D_val")
    assert best is not None, "there is a strength to try"
    chosen, affine = best
    if not of_means:
        to_the_end = partial(solver.minimise, chosen.strength, affine, tolerance=_FINAL_TOLERANCE)
        affine, iterations = steps.run(f"chosen {chosen.strength:g}", to_the_end)
        path[path.index(chosen)] = chosen = judged(chosen.strength, affine, iterations)
    steps.count(len(left) + (not of_means), f"strength {chosen.strength:g} is chosen")
    return ProbeFit(
        weight=affine.weight,
        bias=affine.bias,
        feature_mean=feature_mean,
        feature_std=feature_std,
        strength=chosen.strength,
        path=tuple(path),
    )


def n_steps(shape: tuple[int, int, int], n_classes: int) -> int:
    """Return the steps of a fit with the default strengths: one per strength, and a last one where a view is a row.

    Args:
        shape: (N, V, D) of the training features.
        n_classes: C.
    """
    n_images, n_views, n_features = shape
    of_means = rows_per_image(n_images, n_views, n_features, n_classes) < n_views
    return len(STRENGTHS_OF_MEANS) if of_means else len(STRENGTHS) + 1


def refit(
    fit: ProbeFit,
    features: NDArray[np.float16],
    labels: NDArray[np.int64],
    images: NDArray[np.int64],
    *,
    n_classes: int,
    tau: float = 1.0,
    device: str = "cpu",
) -> tuple[Affine, int]:
    """Fit again on some images, at the strength and in the feature space of `fit`.

    A fit to the end starts from `fit`. One that ends early would remember such a start, which has seen the images that
    are left out, so it goes along the path of strengths again.

    Args:
        fit: the fit on all training images.
        features: raw features of all images, (N, V, D).
        labels: int64 (N,).
        images: indices of the images to fit to, int64; every class is among them.
        n_classes: C.
        tau: strength of the logit adjustment.
        device: as for `fit_probe`.

    Returns:
        The fit, and the number of its iterations.
    """
    mean, std = fit.feature_mean, fit.feature_std
    problem = _problem(features, labels, mean, std, n_classes=n_classes, tau=tau, device=device, images=images)
    solver = Solver(problem)
    if problem.spread is None:
        return solver.minimise(fit.strength, Affine(fit.weight, fit.bias), tolerance=_FINAL_TOLERANCE)
    affine, n_iterations = Affine.zero(n_classes, features.shape[-1]), 0
    for row in fit.path[: [row.strength for row in fit.path].index(fit.strength) + 1]:
        affine, more = solver.minimise(row.strength, affine, tolerance=_TOLERANCE_OF_MEANS)
        n_iterations += more
    return affine, n_iterations


def _problem(
    features: NDArray[np.float16],
    labels: NDArray[np.int64],
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    *,
    n_classes: int,
    tau: float,
    device: str,
    images: NDArray[np.int64] | None = None,
) -> SoftmaxRegression:
    """Return the regression on some images (None: on all), with a row per view or per image.

    The size of the whole set decides which, so that the fit to a fold's images is the same regression as the whole fit.
    """
    chosen = np.arange(len(features)) if images is None else images
    n_images, n_views, n_features = features.shape
    if rows_per_image(n_images, n_views, n_features, n_classes) == n_views:
        rows = StandardRows(features, mean, std, n_classes=n_classes, images=images)
        return _regression(device)(rows, np.repeat(labels[chosen], n_views), n_classes, tau)
    by_class = chosen[np.argsort(labels[chosen], kind="stable")]
    means, spread = view_means(features, mean, std, by_class)
    rows = StandardRows(means[:, None], np.zeros_like(mean), np.ones_like(std), n_classes=n_classes)
    return _regression(device)(rows, labels[by_class], n_classes, tau, spread)


def _regression(device: str) -> type[SoftmaxRegression]:
    if device == "cpu":
        return SoftmaxRegression
    from trainables.cckd.teacher.fit.gpu_regression import GpuRegression  # imports torch, which a driver does without

    return GpuRegression


def _is_past_its_best(accuracies: list[float]) -> bool:
    """Return whether the last values are all below the best one."""
    last = accuracies[-_WORSE_IN_A_ROW:]
    return len(accuracies) > _WORSE_IN_A_ROW and max(last) < max(accuracies)
