"""K students as one: their weights stacked, one forward and backward pass for all, each with its own optimiser.

`torch.vmap` turns a convolution with stacked weights into one grouped convolution, a linear layer into one batched
product; BatchNorm is folded in batch_norm.py. Its running statistics are stacked like the weights.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call
from torch.optim.sgd import sgd
from torch.overrides import TorchFunctionMode

from trainables.cckd.batches import StepBatch
from trainables.cckd.config import TrialConfig
from trainables.cckd.fused.batch_norm import fused_batch_norm
from trainables.cckd.fused.terms import FusedObjective
from trainables.cckd.learner import Learner, autocast
from trainables.cckd.objective import Targets
from trainables.cckd.precision import Precision
from trainables.cckd.recorded import RecordedStep
from trainables.cckd.students import StudentNet


class FusedLearner:
    """K students in training, with equal architectures and independent in everything else."""

    def __init__(
        self,
        learners: Sequence[Learner],
        configs: Sequence[TrialConfig],
        objective: FusedObjective,
        *,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """Copy what the solo `learners` have learnt so far.

        Args:
            learners: one a trial, of the same student.
            configs: momentum and weight decay of each.
            objective: what they minimise.
            device: where they train.
            precision: of the students' passes.
        """
        self._configs, self._objective, self._device = tuple(configs), objective, device
        self._precision = precision
        # Lends its layers; its own weights are never read or changed.
        self._template: StudentNet = learners[0].student
        solo = [learner.tensors() for learner in learners]
        weights = self._template.net.named_parameters()
        trainable = {f"student.{name}" for name, weight in weights if weight.requires_grad}
        self._tensors = {
            name: stacked([of_trial[name] for of_trial in solo]) for name in solo[0] if not name.startswith("momentum.")
        }
        self._trained = [name for name in self._tensors if name in trainable or name.startswith("align.")]
        for name in self._trained:
            self._tensors[name].requires_grad_()
        # Zeros give the first step that SGD takes without a buffer.
        self._momenta = {name: torch.zeros_like(self._tensors[name]) for name in self._trained}
        for name, buffer in self._momenta.items():
            for row, of_trial in zip(buffer, solo, strict=True):
                if f"momentum.{name}" in of_trial:
                    row.copy_(of_trial[f"momentum.{name}"])
        n_trials = len(self._configs)
        self._recorded = RecordedStep(self._take, n_trials=n_trials, device=device) if device.type == "cuda" else None

    def step(self, batches: Sequence[StepBatch], rates: Sequence[float]) -> Tensor:
        """Take one step of every trial, each on its own batch at its own learning rate.

        Returns:
            As `Learner.step`, a row a trial: (K, terms + 1).
        """
        return self._take(batches, rates) if self._recorded is None else self._recorded(batches, rates)

    def _take(self, batches: Sequence[StepBatch], rates: Sequence[float] | Tensor) -> Tensor:
        with autocast(self._device, self._precision):
            logits, features = forward(self._template, self._tensors, [batch.images for batch in batches])
            aligned = None
            if "align.weight" in self._tensors:
                weight, bias = self._tensors["align.weight"], self._tensors["align.bias"]
                aligned = torch.baddbmm(bias.unsqueeze(1), features, weight.transpose(1, 2))
        mixed = [batch.mixed for batch in batches if batch.mixed is not None]
        plain_targets = _stacked_targets([batch.plain for batch in batches])
        losses = self._objective(logits, aligned, plain_targets, _stacked_targets(mixed) if mixed else None)
        for name in self._trained:
            self._tensors[name].grad = None
        # No loss of one trial depends on another's weights, so the sum has each one's own gradient.
        losses[:, -1].sum().backward()
        self._descend(rates)
        return losses.detach()

    def tensors(self, trial: int) -> dict[str, Tensor]:
        """Return what `Learner.tensors` would for the trial at this position; views, not copies."""
        found = {name: tensor.detach()[trial] for name, tensor in self._tensors.items()}
        if self._configs[trial].momentum > 0:
            found |= {f"momentum.{name}": buffer[trial] for name, buffer in self._momenta.items()}
        return found

    @torch.no_grad()
    def _descend(self, rates: Sequence[float] | Tensor) -> None:
        # torch's own SGD on each trial's rows: one launch a trial, and equal to solo training by construction.
        names = [name for name in self._trained if self._tensors[name].grad is not None]
        weights = [self._tensors[name].detach().unbind() for name in names]
        grads = [_gradient(self._tensors[name]).unbind() for name in names]
        momenta = [self._momenta[name].unbind() for name in names]
        for trial, (config, rate) in enumerate(zip(self._configs, rates, strict=True)):
            moves = config.momentum > 0
            sgd(
                [rows[trial] for rows in weights],
                [rows[trial] for rows in grads],
                [rows[trial] if moves else None for rows in momenta],
                lr=rate,
                momentum=config.momentum,
                nesterov=moves,
                weight_decay=config.weight_decay,
                dampening=0.0,
                maximize=False,
                fused=True,
            )


def forward(student: StudentNet, tensors: dict[str, Tensor], images: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Return logits (K, N, C) and features (K, N, D_s) of K networks built as `student`.

    Args:
        student: lends its layers, and its mode.
        tensors: weights and buffers of the K networks, stacked, under the names of `Learner.tensors`.
        images: of each network, normalised (N, Ch, H, W).

    Raises:
        RuntimeError: a layer draws random numbers, or decides by the values it is given.
    """
    state = {name.replace("student.", "net.", 1): t for name, t in tensors.items() if name.startswith("student.")}
    # In memory (N, H, W, K, Ch): a grouped convolution then reads it as it lies.
    pixels = torch.stack([each.permute(0, 2, 3, 1) for each in images], dim=3).permute(0, 3, 4, 1, 2)

    def one(of_one: dict[str, Tensor], its_pixels: Tensor) -> tuple[Tensor, Tensor]:
        logits, features = functional_call(student, of_one, (its_pixels,))
        return logits, features

    with _quiet_about_loops(), _Layers():
        logits, features = torch.vmap(one, in_dims=(0, 1))(state, pixels)
    return logits, features


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Stack along a new first dimension; each of the K rows keeps the memory format that convolutions want."""
    if tensors[0].ndim != 4:
        return torch.stack([tensor.detach() for tensor in tensors])
    return torch.stack([tensor.detach().permute(0, 2, 3, 1) for tensor in tensors]).permute(0, 1, 4, 2, 3)


def _stacked_targets(targets: Sequence[Targets]) -> Targets:
    logits = [each.logits for each in targets if each.logits is not None]
    features = [each.features for each in targets if each.features is not None]
    return Targets(
        torch.stack([each.labels for each in targets]),
        torch.stack(logits) if logits else None,
        torch.stack(features) if features else None,
    )


def _gradient(tensor: Tensor) -> Tensor:
    assert tensor.grad is not None
    return tensor.grad


class _Layers(TorchFunctionMode):
    """What layers do otherwise where K trials share them.

    Activations that would overwrite what they are given make a new tensor instead: what vmap gives a layer is a view,
    and the gradient of a view that was written to is copied into another memory format first. ReLU's backward pass
    then took ten times as long.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm:
            return fused_batch_norm(*args, **kwargs)
        return func(*args, **(kwargs | {"inplace": False} if "inplace" in kwargs else kwargs))


@contextmanager
def _quiet_about_loops() -> Iterator[None]:
    # A layer that vmap has no rule for runs once a trial, with the right numbers; choice.py measures if it still pays.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="There is a performance drop")
        yield
