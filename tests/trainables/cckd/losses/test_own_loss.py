"""The loss of an own method is tried before a study: every way in which it cannot train is one sentence."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from trainables.cckd.errors import UsageError
from trainables.cckd.losses.own_loss import check_own_loss
from trainables.cckd.methods import Knobs
from trainables.own_method import OwnMethod

COUNTS = (50, 10, 2)


def check(loss: Callable[..., Any], **changes: Any) -> None:
    check_own_loss(OwnMethod("mine", "A loss.", loss, **changes), Knobs(), COUNTS)


def test_a_loss_is_given_what_a_step_gives_it() -> None:
    seen: list[Any] = []

    def loss(logits: Any, targets: Any, setting: Any) -> Any:
        seen.append((logits, targets, setting))
        return F.kl_div(logits.log_softmax(1), targets.logits.softmax(1), reduction="batchmean")

    check(loss, needs="logits")
    ((logits, targets, setting),) = seen
    assert logits.shape == targets.logits.shape == (8, 3)
    assert targets.labels.dtype == torch.int64
    assert (targets.labels < 3).all()
    assert setting.counts.tolist() == list(COUNTS)


@pytest.mark.parametrize(
    ("loss", "fault"),
    [
        (lambda z, t, s: z.nothing, "it raised AttributeError"),
        (lambda z, t: z.mean(), "it raised TypeError"),
        (lambda z, t, s: (z - t.logits).mean(), "it raised TypeError"),  # it does not say that it needs them
        (lambda z, t, s: s.knobs.absent * z.mean(), "it raised AttributeError"),
        (lambda z, t, s: 1.0, "it must return a scalar tensor; got float"),
        (lambda z, t, s: z.mean(1), "it must return a scalar tensor; got a tensor of shape (8,)"),
        (lambda z, t, s: z.mean() / 0, "it must return a finite number; got"),
        (lambda z, t, s: z.mean() * float("nan"), "it must return a finite number; got nan"),
        (lambda z, t, s: z.detach().mean(), "its value must have a gradient"),
        (lambda z, t, s: torch.ones((), requires_grad=True), "its value must depend on the logits"),
        (lambda z, t, s: (z - z).abs().sqrt().mean(), "its gradient must be finite"),
    ],
)
def test_a_loss_that_cannot_train_is_refused(loss: Callable[..., Any], fault: str) -> None:
    with pytest.raises(UsageError) as raised:
        check(loss)
    (found,) = raised.value.faults
    assert found.startswith("own method mine: loss was tried on a made-up batch; ")
    assert fault in found
