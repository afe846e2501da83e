"""The same softmax regression with its products on a GPU: rows stay there between passes where they fit.

As on the CPU, the loss and its slope by the bias are summed over rows in float64. The slope by the weight and the
posteriors per class are summed in float32. Products are in full float32: TF32 is off while they are computed, because a
strength is chosen by differences of a tenth of a percent. The optimiser stays on the host: per pass it handles C x D
numbers only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.cckd.teacher.fit.row_blocks import StandardRows
from trainables.cckd.teacher.fit.softmax_regression import Affine, SoftmaxRegression

#: Share of the free memory of a GPU that rows may take. Weights, logits and products of pairs need the rest.
_ROWS_SHARE = 0.5


@contextmanager
def _full_precision() -> Iterator[None]:
    """Compute products of float32 without TF32, whatever this process has chosen for the trials after it."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@dataclass(frozen=True, eq=False)
class GpuRegression(SoftmaxRegression):
    """The problem without its strength, computed on `device`.

    Attributes:
        device: 'cuda'; 'cpu' for tests.
    """

    device: str = "cuda"

    @_full_precision()
    def loss_and_gradient(self, point: Affine) -> tuple[float, NDArray[np.float32], NDArray[np.float64]]:
        """As `SoftmaxRegression.loss_and_gradient`."""
        weight = self._moved(point.weight)
        shift = self._moved(point.bias + (self.tau * np.log(self.shares)).astype(np.float32))
        loss = torch.zeros((), dtype=torch.float64, device=self.device)
        slope, bias_slope = torch.zeros_like(weight), torch.zeros(self.n_classes, dtype=torch.float64).to(self.device)
        of_pairs = spread_weight = posterior_of_class = None
        if self.spread is not None:
            spread_weight = weight @ self._moved(self.spread)
            of_pairs = spread_weight @ weight.T
            shift = shift + of_pairs.diagonal() / 2
            posterior_of_class = torch.zeros_like(of_pairs)
        for place, block in self._blocks():
            labels = self._labels[place]
            logits = torch.addmm(shift, block, weight.T)
            if of_pairs is not None:
                logits -= of_pairs[labels]
            log_posterior = torch.log_softmax(logits, dim=1)
            loss -= log_posterior.gather(1, labels[:, None]).sum(dtype=torch.float64)
            posterior = log_posterior.exp_()
            if posterior_of_class is not None:
                posterior_of_class.index_add_(0, labels, posterior)
            posterior[torch.arange(len(block), device=self.device), labels] -= 1
            slope += posterior.T @ block
            bias_slope += posterior.sum(dim=0, dtype=torch.float64)
        if posterior_of_class is not None and spread_weight is not None:
            by_pair = -posterior_of_class - posterior_of_class.T
            counts = self._moved((len(self.labels) * self.shares).astype(np.float32))
            by_pair.diagonal().add_(posterior_of_class.sum(dim=0) + counts)
            slope += by_pair @ spread_weight
        n = len(self.rows)
        return float(loss) / n, (slope / n).cpu().numpy(), (bias_slope / n).cpu().numpy()

    @_full_precision()
    def predict(self, rows: StandardRows, point: Affine) -> NDArray[np.int64]:
        """As `SoftmaxRegression.predict`."""
        weight, bias = self._moved(point.weight), self._moved(point.bias)
        blocks = self._blocks() if rows is self.rows else ((place, self._moved(block)) for place, block in rows)
        found = np.empty(len(rows), np.int64)
        for place, block in blocks:
            found[place] = torch.addmm(bias, block, weight.T).argmax(dim=1).cpu().numpy()
        return found

    @cached_property
    def _labels(self) -> torch.Tensor:
        return torch.from_numpy(self.labels).to(self.device)

    @cached_property
    def _kept(self) -> list[tuple[slice, torch.Tensor]] | None:
        """All rows on the GPU; None where they do not fit."""
        n_bytes = 4 * len(self.rows) * self.rows.n_features
        if self.device != "cpu" and n_bytes > _ROWS_SHARE * torch.cuda.mem_get_info(self.device)[0]:
            return None
        return [(place, self._moved(block)) for place, block in self.rows]

    def _blocks(self) -> Iterator[tuple[slice, torch.Tensor]]:
        kept = self._kept
        return iter(kept) if kept is not None else ((place, self._moved(block)) for place, block in self.rows)

    def _moved(self, array: NDArray[np.float32]) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)
