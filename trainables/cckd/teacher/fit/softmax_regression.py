"""Logit-adjusted softmax regression by L-BFGS, with products in float32 and sums and optimiser in float64.

It minimises mean CE(W f + b + tau log p_tr, y) + L2/2 |W|^2 over rows f. Two things make it fast:

- **Scaled coordinates.** By the bound diag(p) on the softmax's curvature (Boehning, 1992), the curvature of w_c is
  about p_c E[f f^T] + L2. In the eigenvectors of E[f f^T] it is diagonal. In coordinates of curvature 1 the optimiser
  needs a fraction of the passes over the rows. Its first step is a ridge regression in closed form, class by class.
- **Views in expectation.** Instead of V views of an image, a row may be their mean f, with the covariance S of the
  views about it. For normally distributed views Jensen's inequality bounds the mean cross-entropy over infinitely many
  of them by that of the logits z_j + w_j^T S w_j / 2 - w_j^T S w_y (Wang et al., NeurIPS 2019, arXiv 1909.12220).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.teacher.fit.row_blocks import StandardRows, in_threads

_MAX_ITERATIONS = 200
_GRADIENT_TOLERANCE = 1e-9


class Affine(NamedTuple):
    """Logits W f + b: weight (C, D) and bias (C,), float32."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]

    @classmethod
    def zero(cls, n_classes: int, n_features: int) -> "Affine":
        """Return the function whose logits are all 0."""
        return cls(np.zeros((n_classes, n_features), np.float32), np.zeros(n_classes, np.float32))


class BlockSums(NamedTuple):
    """Sums over the rows of one block: cross-entropy, its slopes, and posteriors (n, C) by the classes (n,) in it."""

    loss: float
    slope: NDArray[np.float32]
    bias_slope: NDArray[np.float64]
    classes: NDArray[np.int64] | None
    posteriors: NDArray[np.float32] | None


def block_sums(
    block: NDArray[np.float32],
    labels: NDArray[np.int64],
    weight: NDArray[np.float32],
    shift: NDArray[np.float32],
    of_pairs: NDArray[np.float32] | None,
) -> BlockSums:
    """Return the sums over one block.

    Args:
        block: standardised rows, (n, D).
        labels: (n,), ascending where there are `of_pairs`.
        weight: (C, D).
        shift: what is added to the logits of every row, (C,).
        of_pairs: what is taken off the logits of a row, by its class, (C, C); None for nothing.
    """
    own = np.arange(len(block)), labels
    logits = block @ weight.T
    logits += shift
    if of_pairs is not None:
        logits -= of_pairs[labels]
    logits -= logits.max(axis=1, keepdims=True)
    of_own = logits[own].astype(np.float64)
    posterior = np.exp(logits, out=logits)
    total = posterior.sum(axis=1, keepdims=True)
    loss = float((np.log(total[:, 0].astype(np.float64)) - of_own).sum())
    posterior /= total
    classes, posteriors = None, None
    if of_pairs is not None:
        starts = np.flatnonzero(np.diff(labels, prepend=-1))
        classes, posteriors = labels[starts], np.add.reduceat(posterior, starts, axis=0)
    posterior[own] -= 1
    return BlockSums(loss, posterior.T @ block, posterior.sum(axis=0, dtype=np.float64), classes, posteriors)


@dataclass(frozen=True, eq=False)
class SoftmaxRegression:
    """The problem without its strength.

    Attributes:
        rows: n standardised rows of D features.
        labels: their classes, int64 (n,), every class present; ascending where there is a `spread`.
        n_classes: C.
        tau: strength of the logit adjustment.
        spread: covariance of an image's views about the row, float32 (D, D); None where the rows are the views.
    """

    rows: StandardRows
    labels: NDArray[np.int64]
    n_classes: int
    tau: float
    spread: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        assert self.spread is None or (np.diff(self.labels) >= 0).all(), "rows are summed class by class"

    def loss_and_gradient(self, point: Affine) -> tuple[float, NDArray[np.float32], NDArray[np.float64]]:
        """Return the mean cross-entropy, and its gradients by weight, float32 (C, D), and by bias, float64 (C,)."""
        shares = self.shares
        shift = point.bias + (self.tau * np.log(shares)).astype(np.float32)
        of_pairs: NDArray[np.float32] | None = None
        spread_weight: NDArray[np.float32] | None = None
        if self.spread is not None:
            spread_weight = point.weight @ self.spread
            of_pairs = spread_weight @ point.weight.T
            shift += np.diag(of_pairs) / 2

        def of_block(placed: tuple[slice, NDArray[np.float32]]) -> BlockSums:
            place, block = placed
            return block_sums(block, self.labels[place], point.weight, shift, of_pairs)

        loss, slope, bias_slope = 0.0, np.zeros_like(point.weight), np.zeros(self.n_classes)
        posterior_of_class = np.zeros((self.n_classes,) * 2, np.float32) if self.spread is not None else None
        # Where every view is a row, a set may be one block, whose products use all threads.
        all_sums = (
            map(of_block, self.rows)
            if self.spread is None
            else in_threads(of_block, self.rows, result_bytes=slope.nbytes)
        )
        for sums in all_sums:
            loss += sums.loss
            slope += sums.slope
            bias_slope += sums.bias_slope
            if posterior_of_class is not None and sums.posteriors is not None:
                posterior_of_class[sums.classes] += sums.posteriors
        if posterior_of_class is not None and spread_weight is not None:
            by_pair = -posterior_of_class - posterior_of_class.T
            by_pair[np.diag_indices(self.n_classes)] += posterior_of_class.sum(axis=0) + len(self.labels) * shares
            slope += by_pair @ spread_weight
        return loss / len(self.rows), slope / np.float32(len(self.rows)), bias_slope / len(self.rows)

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each class among the rows, p_tr, float64 (C,)."""
        counts = np.bincount(self.labels, minlength=self.n_classes)
        assert (counts > 0).all(), "every class must have training images"
        return counts / len(self.labels)

    def predict(self, rows: StandardRows, point: Affine) -> NDArray[np.int64]:
        """Return the class of the largest logit of each of `rows`, int64 (n,)."""
        found = np.empty(len(rows), np.int64)
        for place, block in rows:
            found[place] = (block @ point.weight.T + point.bias).argmax(axis=1)
        return found


class Solver:
    """Minimises one regression at several strengths; the coordinates are chosen once."""

    def __init__(self, regression: SoftmaxRegression) -> None:
        self._regression = regression
        rows = regression.rows
        moments = np.zeros((rows.n_features,) * 2)
        for _, block in rows:
            moments += block.T @ block
        moments /= len(rows)
        if regression.spread is not None:
            moments += regression.spread
        curvatures, axes = np.linalg.eigh(moments)
        self._curvatures = np.maximum(curvatures, 0)
        self._axes = axes.astype(np.float32)

    def minimise(self, strength: float, start: Affine, *, tolerance: float) -> tuple[Affine, int]:
        """Return the minimum at L2 `strength`, and the number of iterations from `start`.

        Args:
            strength: L2, above 0.
            start: where to begin.
            tolerance: stop when an iteration lowers the objective by a smaller fraction than this.
        """
        problem = self._regression
        shape = start.weight.shape
        scale = np.sqrt(problem.shares[:, None] * self._curvatures + strength).astype(np.float32)
        bias_scale = np.sqrt(problem.shares)

        def affine(point: NDArray[np.float64]) -> Affine:
            flat = point[: -shape[0]].astype(np.float32).reshape(shape)
            return Affine((flat / scale) @ self._axes.T, (point[-shape[0] :] / bias_scale).astype(np.float32))

        def loss_and_gradient(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            at = affine(point)
            loss, slope, bias_slope = problem.loss_and_gradient(at)
            loss += strength / 2 * float(np.square(at.weight, dtype=np.float64).sum())
            slope += np.float32(strength) * at.weight
            return loss, _joined((slope @ self._axes) / scale, bias_slope / bias_scale)

        from scipy.optimize import minimize  # takes as long as Ray itself to import; a cached fit does without it

        found = minimize(
            loss_and_gradient,
            _joined((start.weight @ self._axes) * scale, start.bias * bias_scale),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": _MAX_ITERATIONS, "ftol": tolerance, "gtol": _GRADIENT_TOLERANCE},
        )
        return affine(found.x), int(found.nit)


def _joined(*parts: NDArray[np.floating]) -> NDArray[np.float64]:
    return np.concatenate([np.asarray(part, np.float64).ravel() for part in parts])
