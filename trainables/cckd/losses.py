"""The five losses of class-conditional distillation as pure functions, each a mean that is zero at agreement.

Shapes: (N, C) logits of N samples over C classes, (C,) log priors, (N, D) features. The teacher's tensors are
detached here, so that no caller can train through them. Li et al., ICML 2024, PMLR 235:28204-28221.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx

#: Norms are taken as no less, as torch's cosine similarity does.
SHORTEST = 1e-8


def supervised(logits: Tensor, labels: Tensor, log_own_prior: Tensor, log_set_prior: Tensor) -> Tensor:
    """Cross-entropy of the logits after their own prior p^s is replaced by the set's pi_S.

    On the training set this is plain cross-entropy at tau = 0 and logit adjustment at tau = 1
    (Menon et al., arXiv 2007.07314).

    Args:
        logits: raw student logits (N, C).
        labels: int64 (N,), or float (N, C) with rows that sum to 1 for mixed samples.
        log_own_prior: log p^s (C,).
        log_set_prior: log pi_S (C,).
    """
    return F.cross_entropy(logits + (log_set_prior - log_own_prior), labels)


def kd(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(softmax(z_t / T) || softmax(z_s / T)), mean over samples (Hinton et al., arXiv 1503.02531).

    Both logits are (N, C), raw. Blind to priors, unlike the class-conditional losses below.
    """
    return _mean_kl(
        torch.log_softmax(teacher_logits.detach() / temperature, dim=1),
        torch.log_softmax(student_logits / temperature, dim=1),
        temperature,
    )


def corrected_log_posterior(logits: Tensor, log_own_prior: Tensor, log_set_prior: Tensor, temperature: float) -> Tensor:
    """Return log_softmax((z - log p + log pi_S) / T), (N, C): the posterior under the set's prior.

    Bayes: p(x|y) is proportional to p(y|x) / p(y), so dividing a posterior by its own prior leaves what the
    model knows of p(x|y); multiplying by the set's prior makes a posterior of it again.
    """
    return torch.log_softmax((logits + (log_set_prior - log_own_prior)) / temperature, dim=1)


def cckd_prior(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    student_log_prior: Tensor,
    teacher_log_prior: Tensor,
    log_set_prior: Tensor,
    temperature: float,
) -> Tensor:
    """Class-conditional distillation, estimator `prior`: T^2 KL(exp a^t || exp a^s), mean over samples.

    a^t and a^s are the corrected log-posteriors of teacher and student.

    Args:
        student_logits, teacher_logits: raw, (N, C).
        student_log_prior, teacher_log_prior: log p^s and log p^t (C,), of the raw logits.
        log_set_prior: log pi_S (C,) of the set the samples come from.
        temperature: T > 0.
    """
    return _mean_kl(
        corrected_log_posterior(teacher_logits.detach(), teacher_log_prior, log_set_prior, temperature),
        corrected_log_posterior(student_logits, student_log_prior, log_set_prior, temperature),
        temperature,
    )


def cckd_batch(
    student_logits: Tensor,
    teacher_logits: Tensor,
    *,
    student_log_prior: Tensor,
    teacher_log_prior: Tensor,
    log_set_prior: Tensor,
    temperature: float,
) -> Tensor:
    """Class-conditional distillation, estimator `batch`: T^2 mean over classes of KL(p^t(.|c) || p^s(.|c)).

    p(x_n | c) is the corrected posterior normalised over the N samples, p(x) taken as uniform on the batch.
    Rare classes weigh as much as frequent ones. Arguments as for `cckd_prior`; zero where N = 1.
    """
    teacher = corrected_log_posterior(teacher_logits.detach(), teacher_log_prior, log_set_prior, temperature)
    student = corrected_log_posterior(student_logits, student_log_prior, log_set_prior, temperature)
    # Columns become the distributions, so that the mean over rows below is the mean over classes.
    return _mean_kl(
        torch.log_softmax(teacher, dim=0).T,
        torch.log_softmax(student, dim=0).T,
        temperature,
    )


def imitation(aligned_features: Tensor, *teacher_features: Tensor) -> Tensor:
    """1 - cosine(A h_s, f_t), mean over samples; in [0, 2]. Of several sets: the sum of their means.

    Args:
        aligned_features: the student's features after the alignment layer A, (N, D), one set after the other.
        teacher_features: standardised, a tensor (N_k, D) for each set, the N_k adding up to N.
    """
    loss: Tensor = _MeanCosineDistances.apply(aligned_features, *(target.detach() for target in teacher_features))
    return loss


class _MeanCosineDistances(torch.autograd.Function):
    """Sum over sets of the mean of 1 - cosine, and its gradient in two passes over (N, D).

    Autograd's own chain splits (N, D), divides, multiplies and joins it again: on small images with D = 1280 that took
    longer than the student's largest layer.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, guess: Tensor, *targets: Tensor) -> Tensor:
        loss = guess.new_zeros(())
        kept: list[Tensor] = []
        for rows, target in zip(guess.split([len(target) for target in targets]), targets, strict=True):
            length = torch.linalg.vector_norm(rows, dim=1).clamp_min(SHORTEST)
            both = length * torch.linalg.vector_norm(target, dim=1).clamp_min(SHORTEST)
            cosine = (rows * target).sum(dim=1) / both
            kept += [both, cosine / length.square()]
            loss = loss + (1.0 - cosine.mean())
        ctx.save_for_backward(guess, *targets, *kept)
        return loss

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # d(1 - cos)/dg = -f / (|g| |f|) + cos g / |g|^2
        guess, *rest = ctx.saved_tensors
        n_sets = len(rest) // 3
        targets, kept = rest[:n_sets], rest[n_sets:]
        slope = torch.empty_like(guess)
        sizes = [len(target) for target in targets]
        for k, (out, rows, target) in enumerate(zip(slope.split(sizes), guess.split(sizes), targets, strict=True)):
            both, pull = kept[2 * k], kept[2 * k + 1]
            weight = grad / len(target)
            torch.mul(target, (-weight / both)[:, None], out=out)
            out.addcmul_(rows, (weight * pull)[:, None])
        return slope, *[None] * n_sets


def _mean_kl(log_target: Tensor, log_guess: Tensor, temperature: float) -> Tensor:
    # T^2 keeps the gradient's size about constant over temperatures (Hinton et al., section 2).
    return temperature**2 * F.kl_div(log_guess, log_target, reduction="batchmean", log_target=True)
