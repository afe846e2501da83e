"""Classic distillation: the student learns the teacher's softened answers."""

import torch
from torch import Tensor
from torch.nn.functional import kl_div


def kd(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), mean over samples (Hinton et al., arXiv 1503.02531).

    Both logits are raw, (N, C). The loss is zero at agreement. It is blind to priors, unlike the class-conditional
    losses of closed_form.py. The teacher's logits are detached, so that no caller can train through them.
    """
    log_target = torch.log_softmax(teacher_logits.detach() / temperature, dim=1)
    log_guess = torch.log_softmax(student_logits / temperature, dim=1)
    # T^2 keeps the gradient's size about constant over temperatures (Hinton et al., section 2).
    return temperature**2 * kl_div(log_guess, log_target, reduction="batchmean", log_target=True)
