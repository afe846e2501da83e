"""Real Ray Tune drives the adapters: completions, prunings, retries, failures, and a second driver."""

from pathlib import Path

import pytest

from study.execution.attempts import AttemptLog
from study.execution.course import Course, CourseScheduler, CourseSearcher, Phase
from study.execution.failure_budget import FailureBudget
from study.execution.searchers import LedgerSearcher
from study.records.ledger import Ledger

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def _toy_trainable():
    from ray import tune

    class Toy(tune.Trainable):
        """Four epochs; crashes, fails or does badly as its number says."""

        def setup(self, config):
            self.reset_config(config)

        def reset_config(self, new_config):
            self.config, self.epoch = new_config, 0
            return True

        def step(self):
            number, attempt = self.config["number"], self.config["attempt"]
            self.epoch += 1
            if number == 1 and attempt == 1 and self.epoch == 2:
                raise OSError("a node was lost")
            if number == 2 and self.epoch == 2:
                raise ValueError("always wrong")
            if number == 3 and self.epoch == 2:
                return {"records": [], "done": True, "cause": "loss term 'sup' became nan"}
            right = 0 if number == 11 else 5 + number % 5
            record = {
                "epoch": self.epoch,
                "losses": {"total": 1.0},
                "lr": 0.1,
                "val": {"correct": [right, 10], "seen": [10, 10]},
                "train_s": 0.1,
                "eval_s": 0.1,
            }
            return {"records": [record], "done": self.epoch == 4, "cause": None}

        def save_checkpoint(self, checkpoint_dir):
            return None

        def load_checkpoint(self, checkpoint):
            pass

    return Toy


def _drive(ledger: Ledger, seed_of, folder: Path) -> None:
    from ray import tune

    attempts = AttemptLog(FailureBudget(max_retries=1, max_failures=9))
    phase = Phase(LedgerSearcher(ledger, attempts, seed_of=seed_of), on_step=lambda: None)
    course = Course(phase, iter(()), attempts, (str(folder.parent), folder.name))
    tune.Tuner(
        tune.with_resources(_toy_trainable(), {"cpu": 1}),
        tune_config=tune.TuneConfig(
            search_alg=CourseSearcher(course),
            scheduler=CourseScheduler(course),
            num_samples=-1,
            max_concurrent_trials=2,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name=course.folder[1],
            storage_path=course.folder[0],
            failure_config=tune.FailureConfig(max_failures=0),
            verbose=0,
        ),
    ).fit()


def test_ray_runs_a_search_to_its_total_and_a_second_driver_extends_it(
    tmp_path, database, space, settings, seed_of
) -> None:
    import ray

    ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    try:
        ledger = Ledger.create(database, space, settings(trials=12))
        left = ledger.ask(seed_of)  # as if a driver had died here
        assert left.number == 0
        _drive(ledger, seed_of, tmp_path / "first")
        rows = ledger.rows()
        ledger.close()

        extended = Ledger.open(database, trials=14)
        _drive(extended, seed_of, tmp_path / "second")
        assert extended.finished_total == 14
        assert extended.rows()[:12] == rows
        extended.close()
    finally:
        ray.shutdown()

    assert [row.number for row in rows] == list(range(12))
    assert {row.number for row in rows if row.state == "FAIL"} == {2, 3}
    assert rows[2].cause == "exception: ValueError: always wrong"
    assert rows[3].cause == "loss term 'sup' became nan"
    assert rows[11].state == "PRUNED"
    assert len(rows[11].records) < 4
    assert [row.attempts for row in rows] == [1, 2, 2, *[1] * 9]
    assert rows[1].state == "COMPLETE"
    assert [record.epoch for record in rows[1].records] == [1, 2, 3, 4]
    assert all(len(row.records) == 4 for row in rows if row.state == "COMPLETE")
