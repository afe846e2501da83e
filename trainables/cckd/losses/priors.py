"""The label prior a logit-adjusted student carries inside its logits."""

import torch
from torch import Tensor


def student_log_prior(log_prior_train: Tensor, tau: float) -> Tensor:
    """Return log p^s (C,), p^s proportional to p_tr^(1 - tau): uniform at tau = 1, p_tr at tau = 0.

    Training CE(z + log p_tr - log p^s, y) makes z + log p_tr - log p^s the log-posterior under p_tr at the
    optimum, so z itself is the log-posterior under the prior p^s (Bayes; Menon et al., arXiv 2007.07314, at
    tau = 1).

    Args:
        log_prior_train: log p_tr (C,), finite.
        tau: strength of logit adjustment, >= 0; above 1 the student leans towards rare classes.
    """
    return torch.log_softmax((1.0 - tau) * log_prior_train, dim=0)
