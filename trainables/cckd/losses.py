"""The five losses of class-conditional distillation as pure functions, each a mean that is zero at agreement.

Shapes: (N, C) logits of N samples over C classes, (C,) log priors, (N, D) features. The teacher's tensors are
detached here, so that no caller can train through them. Li et al., ICML 2024, PMLR 235:28204-28221.
"""

import torch
import torch.nn.functional as F
from torch import Tensor


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


def imitation(aligned_features: Tensor, teacher_features: Tensor) -> Tensor:
    """1 - cosine(A h_s, f_t), mean over samples; in [0, 2].

    Args:
        aligned_features: the student's features after the alignment layer A, (N, D).
        teacher_features: standardised, (N, D).
    """
    return 1.0 - F.cosine_similarity(aligned_features, teacher_features.detach(), dim=1).mean()


def _mean_kl(log_target: Tensor, log_guess: Tensor, temperature: float) -> Tensor:
    # T^2 keeps the gradient's size about constant over temperatures (Hinton et al., section 2).
    return temperature**2 * F.kl_div(log_guess, log_target, reduction="batchmean", log_target=True)
