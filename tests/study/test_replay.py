"""What a replay holds while it trains, with Ray, the teacher and the trainer played."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from study import replay
from study.planning.check import check
from study.planning.checked import Checked
from study.planning.parser import build_parser


def test_the_image_store_is_claimed_until_the_last_epoch_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["--space", "acckd_smoke", "--data", "digits_lt", "--out", str(tmp_path)]
    checked = check(build_parser().parse_args(asked))
    epochs = [SimpleNamespace(epoch=epoch, losses=(), lr=0.1, val=None) for epoch in (1, 2)]
    params = {knob.name: knob.reference for knob in checked.space.tunable}
    row = SimpleNamespace(number=0, params=params, seed=1, records=epochs)
    store = SimpleNamespace(lock=nullcontext, path=tmp_path, manifest=dict, database=tmp_path / "study.db")
    ledger = SimpleNamespace(baselines={}, rows=lambda: [row], close=lambda: None)
    monkeypatch.setattr("study.records.store.StudyStore.open", lambda folder: store)
    monkeypatch.setattr("study.records.ledger.Ledger.open", lambda database: ledger)
    monkeypatch.setattr("study.planning.manifest.checked_again", lambda folder, manifest: checked)
    claimed: list[Checked] = []
    n_trained = 0

    @contextmanager
    def claim_store(of: Checked) -> Iterator[None]:
        claimed.append(of)
        yield
        claimed.clear()

    def run_epoch() -> Any:
        nonlocal n_trained
        assert claimed == [checked]
        n_trained += 1
        return epochs[n_trained - 1]

    prepared = SimpleNamespace(data=None, verification=SimpleNamespace(wait=lambda: None))
    monkeypatch.setattr("study.teacher.small_images.claim_store", claim_store)
    monkeypatch.setattr("study.teacher.small_images.stored_images", lambda checked, *_: checked)
    monkeypatch.setattr("study.teacher.bundle.prepare", lambda *_: prepared)
    monkeypatch.setattr("study.execution.workers.ray_session", lambda plan: nullcontext())
    trainer = SimpleNamespace(run_epoch=run_epoch)
    monkeypatch.setattr("trainables.cckd.training.trainer.Trainer", lambda *_, **__: trainer)
    assert replay.main([str(tmp_path), "0"]) == 0
    assert (n_trained, claimed) == (2, [])
    assert "2 epochs trained again, losses and counts equal to the last bit" in capsys.readouterr().out
