"""A study whose phases run without Ray and whose teacher is played."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

from ray.tune.search import Searcher

from study.execution.course import Course, CourseSearcher
from study.execution.workers import Workers
from study.phases.state.engine import Engine
from study.phases.state.study_in_progress import Analyses, Study
from study.planning.checked import Checked
from study.teacher.bundle import Prepared
from trainables.cckd.confidence import confidence_bins
from trainables.cckd.methods import LADDER
from trainables.cckd.records import ClassCounts
from trainables.checkpoint_store import MODEL, CheckpointStore

N_TRIALS, EPOCHS, N_SEEDS = 4, 4, 2
N_RUNS = (len(LADDER) + 1) * N_SEEDS
WORKERS = Workers(n_workers=1)
BINS = confidence_bins([0.8] * 400, [True] * 300 + [False] * 100)


_VERIFIED: Any = SimpleNamespace(wait=lambda: None)


def of_cut(cut: int) -> Prepared:
    """What the played teacher prepares: the cut's number stands for its bundle."""
    return Prepared(cut, None, {"name": "played", "forward_passes": 50, "verification_passes": 8}, None, _VERIFIED)


OWN = of_cut(0)

#: The knobs that every search of a played study shows to matter.
SCREENED = ("temperature", "mix_ratio", "estimator")
ANALYSES = Analyses(lambda folder: folder, lambda folder: SCREENED, lambda folder, share: (False, "nothing is known"))


class Answered:
    """What a process beside the driver returns, at once."""

    is_ready = True

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self._call = partial(function, *arguments)

    def result(self) -> Any:
        return self._call()


class PlayedRay:
    """Runs what the searcher hands out, one by one, until `stop_after` runs; `outcome` makes their last result.

    Its `engine` stands for Ray and plays the teacher too; `prepare` gives a cut its bundle.
    """

    def __init__(self) -> None:
        self.configs: list[dict[str, Any]] = []
        self.stop_after: int | None = None
        self.outcome: Callable[[dict[str, Any]], dict[str, Any] | None] = good
        self.opened_test = False
        self.bundles: list[tuple[Any, bool]] = []
        self.prepare: Callable[[Checked], Prepared] = lambda checked: OWN

    @property
    def engine(self) -> Engine:
        """What a study asks instead of Ray."""
        counts = ClassCounts((4,) * 10, (40,) * 10)
        return Engine(self.run, lambda checked, *_: self.prepare(checked), lambda *_: (counts, BINS, 400), Answered)

    def run(self, checked: Checked, prepared: Prepared, workers: Workers, course: Course) -> None:
        searcher: Any = CourseSearcher(course)
        self.configs, self.opened_test = [], False
        self.bundles.append((prepared, course.is_temporary))
        while len(self.configs) != self.stop_after:
            config = searcher.suggest(f"{len(self.configs)}")
            if config == Searcher.FINISHED:
                return
            self.configs.append(config)
            self.opened_test |= config.get("opens_test", False)
            assert course.opens_test or not self.opened_test
            result = self.outcome(config)
            if config.get("export"):
                _export(config)
            name = f"{len(self.configs) - 1}"
            if result is None:
                course.attempts.crash(name, "exception: OSError: lost")
            searcher.on_trial_complete(name, result, error=result is None)
            course.phase.on_step()
        searcher.suggest("begun")
        searcher.suggest("waiting")
        searcher.on_trial_complete("waiting")  # Ctrl-C: Ray takes back what it had not begun


def play(study: Study, phase: Callable[..., Iterator[Any]], *arguments: Any) -> None:
    """Run a phase, given what its function takes behind the study and before attempts and workers."""
    phases = partial(phase, study, *arguments)
    study.run(OWN, WORKERS, phases, title="played", forwards_teacher=False, opens_test=True)


def nothing_more(attempts: Any, workers: Any) -> Iterator[Any]:
    """No phase."""
    return iter(())


def allow(study: Study, **limits: int) -> None:
    """As if the study were resumed with other limits."""
    study.checked = replace(study.checked, plan=replace(study.checked.plan, **limits))
    study.__dict__.pop("budget", None)


def selecting(study: Study, **changes: int) -> None:
    plan = replace(study.checked.plan, **{"finalists": 2, "finalist_seeds": 2, **changes})
    study.checked = replace(study.checked, plan=plan)


def then_ctrl_c(n_good: int) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """An outcome: so many runs end well, and then Ctrl-C is pressed."""
    left = n_good

    def outcome(config: dict[str, Any]) -> dict[str, Any]:
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return good(config)

    return outcome


def good(config: dict[str, Any]) -> dict[str, Any]:
    """A whole trial's last result; a search trial does better than those before it."""
    number = config["number"]
    right = 20 + number if isinstance(number, int) else 20
    val = {"correct": [right] * 10, "seen": [40] * 10}
    records = [
        {"epoch": k, "losses": {"total": 1.0}, "lr": 0.1, "val": val, "train_s": 1.0, "eval_s": 0.1}
        for k in range(1, EPOCHS + 1)
    ]
    return {
        "records": records[-1:],
        "epochs": records,
        "cause": None,
        "done": True,
        "test_correct": [30] * 10,
        "test_seen": [40] * 10,
        "test_confusion": [],
        **{f"test_bin_{name}": list(values) for name, values in BINS._asdict().items()},
        **{f"test_{name}": [1.0] * 10 for name in ("deviation", "intra", "inter")},
    }


def _export(config: dict[str, Any]) -> None:
    folder = CheckpointStore(config["checkpoints"]).workplace(config["number"], MODEL)
    folder.mkdir(parents=True)
    (folder / f"{config['export']}.safetensors").write_text(config["number"])
