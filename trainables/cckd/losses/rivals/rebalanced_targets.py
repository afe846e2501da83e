"""Classic distillation from a teacher whose softened answers are rebalanced first."""

import torch
from torch import Tensor

from trainables.cckd.losses.soft_targets import kd


def bkd(student_logits: Tensor, teacher_logits: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """T^2 KL(p || softmax(z_s / T)) with p_c proportional to w_c softmax(z_t / T)_c, mean over samples.

    Balanced knowledge distillation (Zhang et al., arXiv 2104.10510; formula as in their public code).

    Args:
        student_logits, teacher_logits: raw, (N, C).
        weights: w, positive, (C,); only their ratios matter. `class_weights` gives the published ones.
        temperature: T.
    """
    return kd(student_logits, teacher_logits + temperature * torch.log(weights), temperature)


def dive(student_logits: Tensor, teacher_logits: Tensor, temperature: float, power: float) -> Tensor:
    """T^2 KL(t || softmax(z_s / T)) with t_c proportional to softmax(z_t / T)_c ^ power, mean over samples.

    The virtual examples of DiVE (He et al., ICCV 2021, arXiv 2103.15042; formula as in their public code). A power of
    1/2 equals a teacher at twice the temperature, so it flattens a teacher that is flat already even more.

    Args:
        student_logits, teacher_logits: raw, (N, C).
        temperature: T.
        power: above 0; at 1 this is classic distillation.
    """
    return kd(student_logits, power * teacher_logits, temperature)
