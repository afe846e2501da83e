"""The student, its alignment layer and the optimiser of both, one training step at a time."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from trainables.cckd.batches.steps import StepBatch
from trainables.cckd.config import TrialConfig
from trainables.cckd.losses.feature_imitation import Unaligned
from trainables.cckd.losses.objective import Objective
from trainables.cckd.precision import Precision
from trainables.cckd.random_streams import torch_stream
from trainables.cckd.students.build import StudentNet, bias_name, build_student
from trainables.cckd.training.cuda_graph import RecordedStep
from trainables.cckd.training.passes import Passes
from trainables.cckd.training.torch_private import sgd_step


class Learner:
    """A student in training.

    Attributes:
        student: the network.
        correction: what is added to its logits to answer, (C,); None where it answers by its raw logits.
        recorded: takes the steps on a GPU; None on the CPU.
    """

    def __init__(
        self,
        config: TrialConfig,
        objective: Objective,
        *,
        n_classes: int,
        image_shape: tuple[int, int, int],
        n_teacher_features: int,
        device: torch.device,
        precision: Precision,
    ) -> None:
        """Initialise the weights from the streams "init" and "align" of the configuration's seed.

        Args:
            config: student, seed and optimiser settings.
            objective: minimised by each step; without feature imitation there is no alignment layer.
            n_classes: C.
            image_shape: (Ch, H, W).
            n_teacher_features: D, the width of the alignment layer's output.
            device: where to train.
            precision: number format of the student's passes.

        Raises:
            ConfigError: a student that cannot be built, or whose classifier has no bias to hold the correction.
        """
        self._config, self._objective, self._device, self._precision = config, objective, device, precision
        with torch_stream(config.seed, "init"):
            student = build_student(
                config.student, n_classes, image_shape[0], image_shape[1], cosine_scale=config.cosine_scale
            )
        self.student: StudentNet = student.to(device).to(memory_format=torch.channels_last)
        self.correction = objective.to_uniform if config.prediction_prior == "uniform" else None
        if self.correction is not None:
            bias_name(self.student)
        self._passes = Passes(self.student, config.mix_statistics)
        self._parameters = dict(self.student.net.named_parameters(prefix="student"))
        self._align: nn.Linear | None = None
        if objective.needs_features:
            with torch_stream(config.seed, "align"):
                self._align = nn.Linear(student.n_features, n_teacher_features).to(device)
            self._parameters |= self._align.named_parameters(prefix="align")
        # torch.optim.SGD starts without buffers; zeros give the same first step.
        self._momenta = {
            name: torch.zeros_like(parameter) for name, parameter in self._parameters.items() if config.momentum > 0
        }
        self.recorded = RecordedStep(self._take, device=device) if device.type == "cuda" else None

    def minimise(self, objective: Objective) -> None:
        """Take the steps to come by another objective, which reads no more than the first one."""
        self._objective = objective
        if self.recorded is not None:
            self.recorded = RecordedStep(self._take, device=self._device)

    def step(self, batch: StepBatch, rate: float) -> Tensor:
        """Take one step at learning rate `rate`.

        Returns:
            The unweighted losses in the order of `Objective.weights`, then the total: (terms + 1,). They stay on the
            device, so that the host does not wait.
        """
        return self._take(batch, rate) if self.recorded is None else self.recorded(batch, rate)

    def _take(self, batch: StepBatch, rate: float | Tensor) -> Tensor:
        """Take a step, launched kernel by kernel."""
        with autocast(self._device, self._precision):
            logits, features = self._answers(batch)
            aligned = self._aligned(features)
        terms = self._objective(logits, aligned, batch.plain, batch.mixed, batch.prepared)
        for parameter in self._parameters.values():
            parameter.grad = None
        terms["total"].backward()
        self._descend(rate)
        return torch.stack(list(terms.values())).detach()

    def _answers(self, batch: StepBatch) -> tuple[Tensor, Tensor]:
        """Return logits and features of D and D_mix, in the order of the batch."""
        return self._passes(batch.images, len(batch.plain.labels))

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Return the most probable class, int64 (N,), for normalised images (N, Ch, H, W).

        The classifier answers in float32 whatever the precision of the passes before it. In bfloat16 logits of 8 to 16
        lie a 16th apart. Equal ones would go to the first class, which has most images in a set that is cut.
        """
        with autocast(self._device, self._precision):
            features = self.student.features(images.contiguous(memory_format=torch.channels_last))
        return self._answer(self.student.classify(features.float())).argmax(dim=1)

    @torch.no_grad()
    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits to answer by (N, C) and penultimate features (N, D_s), all computed in float32."""
        logits, features = self.student(images.contiguous(memory_format=torch.channels_last))
        return self._answer(logits), features

    def _answer(self, logits: Tensor) -> Tensor:
        """Return the logits to answer by.

        They are raw where `prediction_prior` is 'trained'. Where it is 'uniform', the student's own prior p^s is
        replaced by the uniform one: a correction after training, with no effect at tau 1.
        """
        return logits if self.correction is None else logits + self.correction

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor that changes in training: weights, running statistics, momentum."""
        return self._model_tensors() | {f"momentum.{name}": buffer for name, buffer in self._momenta.items()}

    @torch.no_grad()
    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what `tensors` returned for a learner of the same configuration."""
        for name, tensor in self._model_tensors().items():
            tensor.copy_(tensors[name])
        for name, buffer in self._momenta.items():
            # An earlier version wrote no momentum into a checkpoint taken before the first step.
            buffer.copy_(tensors.get(f"momentum.{name}", torch.zeros(())))

    def _aligned(self, features: Tensor) -> Tensor | Unaligned | None:
        if self._align is None:
            return None
        # Forming A h_s costs 3 N D D_s multiplications with its gradients. Not forming it costs 2 (N + D_s) D D_s, but
        # fewer passes over memory. A GPU has the bandwidth to form it, and does so in bfloat16.
        narrowest = min(len(features), self._align.out_features)
        if self._device.type == "cpu" and self._align.in_features <= narrowest:
            return Unaligned(features.float(), self._align.weight, self._align.bias)
        aligned: Tensor = self._align(features)
        return aligned

    @torch.no_grad()
    def _descend(self, rate: float | Tensor) -> None:
        # Weight decay acts on every parameter, biases and BatchNorm included, as in papers on CIFAR-LT.
        parameters: list[Tensor] = []
        slopes: list[Tensor] = []
        momenta: list[Tensor | None] = []
        for name, parameter in self._parameters.items():
            if parameter.grad is not None:
                parameters.append(parameter)
                slopes.append(parameter.grad)
                momenta.append(self._momenta.get(name))
        sgd_step(
            parameters,
            slopes,
            momenta,
            rate=rate,
            momentum=self._config.momentum,
            nesterov=self._config.nesterov,
            weight_decay=self._config.weight_decay,
        )

    def _model_tensors(self) -> dict[str, Tensor]:
        tensors = {f"student.{name}": tensor for name, tensor in self.student.net.state_dict().items()}
        align = {} if self._align is None else self._align.state_dict()
        return tensors | {f"align.{name}": tensor for name, tensor in align.items()}


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    """Return a context in which operations run in `precision` where torch considers that safe."""
    return torch.autocast(device.type, torch.bfloat16) if precision == "bfloat16" else nullcontext()
