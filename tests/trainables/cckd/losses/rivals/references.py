"""The rivals' losses in plain numpy, sample by sample in probabilities, as their papers write them."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, from_numpy

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def world(seed: int, n: int = 7, c: int = 5) -> tuple[Array, Array, Labels, Array]:
    """Student and teacher logits (n, c), labels (n,) and falling training counts (c,)."""
    rng = np.random.default_rng(seed)
    counts = np.sort(rng.integers(2, 200, c))[::-1].astype(np.float64)
    return rng.normal(size=(n, c)) * 2, rng.normal(size=(n, c)) * 3, rng.integers(c, size=n), counts


def tensors(*arrays: NDArray[np.generic]) -> list[Tensor]:
    """The same arrays as tensors."""
    return [from_numpy(array.copy()) for array in arrays]


def slope(loss: Callable[[Array], float], logits: Array, step: float = 1e-5) -> Array:
    """The gradient of `loss` at `logits` by central differences."""
    found = np.zeros_like(logits)
    for place in np.ndindex(*logits.shape):
        moved = np.zeros_like(logits)
        moved[place] = step
        found[place] = (loss(logits + moved) - loss(logits - moved)) / (2 * step)
    return found


def softmax(z: Array) -> Array:
    """Softmax of one row."""
    e = np.exp(z - z.max())
    return e / e.sum()


def kl(p: Array, q: Array) -> float:
    """KL of two distributions."""
    return float((p * np.log(p / q)).sum())


def cross_entropy(z: Array, label: int) -> float:
    """-log softmax(z)_y of one row."""
    return float(-np.log(softmax(z)[label]))


def class_weights(counts: Array, beta: float) -> Array:
    """One over the effective number of samples, scaled to a sum of C."""
    weights = np.array([1 / sum(beta**k for k in range(int(n))) for n in counts])
    return weights / weights.sum() * len(counts)


def kd(student: Array, teacher: Array, temperature: float) -> float:
    """Classic distillation."""
    rows = [kl(softmax(t / temperature), softmax(s / temperature)) for s, t in zip(student, teacher, strict=True)]
    return temperature**2 * float(np.mean(rows))


def bkd(student: Array, teacher: Array, weights: Array, temperature: float) -> float:
    """Distillation of the teacher's probabilities, multiplied by class weights."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        p = weights * softmax(t / temperature)
        total += kl(p / p.sum(), softmax(s / temperature))
    return temperature**2 * total / len(student)


def dive(student: Array, teacher: Array, temperature: float, power: float) -> float:
    """Distillation of a power of the teacher's probabilities."""
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        p = softmax(t / temperature) ** power
        total += kl(p / p.sum(), softmax(s / temperature))
    return temperature**2 * total / len(student)


def wsl(student: Array, teacher: Array, labels: Labels, temperature: float, frozen: Array | None = None) -> float:
    """Soft labels weighed by the ratio of cross-entropies; of the student in `frozen`, where it is given."""
    total = 0.0
    for s, t, y, at in zip(student, teacher, labels, student if frozen is None else frozen, strict=True):
        weight = 1 - np.exp(-cross_entropy(at, y) / (cross_entropy(t, y) + 1e-7))
        total += weight * -(softmax(t / temperature) * np.log(softmax(s / temperature))).sum()
    return temperature**2 * total / len(student)


def dkd(student: Array, teacher: Array, labels: Labels, temperature: float) -> tuple[float, float]:
    """The target against the rest, and the rest among themselves; means over samples."""
    between = within = 0.0
    for s, t, y in zip(student, teacher, labels, strict=True):
        q, p = softmax(s / temperature), softmax(t / temperature)
        between += kl(np.array([p[y], 1 - p[y]]), np.array([q[y], 1 - q[y]]))
        within += kl(np.delete(p, y) / (1 - p[y]), np.delete(q, y) / (1 - q[y]))
    scale = temperature**2 / len(student)
    return scale * between, scale * within


def ltkd(student: Array, teacher: Array, groups: Sequence[Sequence[int]], temperature: float) -> tuple[float, float]:
    """Groups against groups after the teacher's are rebalanced, and classes within their group; means over samples."""
    p = np.stack([softmax(t / temperature) for t in teacher])
    q = np.stack([softmax(s / temperature) for s in student])
    of_teacher = np.stack([p[:, list(ids)].sum(axis=1) for ids in groups], axis=1)
    of_student = np.stack([q[:, list(ids)].sum(axis=1) for ids in groups], axis=1)
    balanced = of_teacher / of_teacher.mean(axis=0)
    balanced = balanced / balanced.sum(axis=1, keepdims=True)
    between = np.mean([kl(a, b) for a, b in zip(balanced, of_student, strict=True)])
    within = sum(
        np.mean(
            [
                kl(a[list(ids)] / a[list(ids)].sum(), b[list(ids)] / b[list(ids)].sum())
                for a, b in zip(p, q, strict=True)
            ]
        )
        for ids in groups
    )
    return temperature**2 * float(between), temperature**2 * float(within)


def vs(logits: Array, labels: Labels, counts: Array, gamma: float, tau: float) -> float:
    """Vector scaling."""
    scale, shift = (counts / counts.max()) ** gamma, tau * np.log(counts / counts.sum())
    return float(np.mean([cross_entropy(z * scale + shift, y) for z, y in zip(logits, labels, strict=True)]))


def ldam(
    logits: Array, labels: Labels, counts: Array, largest: float, scale: float, weights: Array | None = None
) -> float:
    """Margins that fall with the fourth root of the count; the mean is weighed by the label's weight."""
    weights = np.ones(len(counts)) if weights is None else weights
    total = 0.0
    for z, y in zip(logits, labels, strict=True):
        cosines = z / scale
        cosines[y] -= largest * (counts.min() / counts[y]) ** 0.25
        total += weights[y] * cross_entropy(scale * cosines, y)
    return total / float(weights[labels].sum())
