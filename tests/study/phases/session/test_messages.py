"""What a session says before it starts: the hours of a continuation are those of the runs that it lacks."""

import io
from dataclasses import replace

from study.phases.ablation import ablate
from study.phases.baselines import tune_baselines
from study.phases.confirmation import confirm
from study.phases.longer_runs import train_longer
from study.phases.search import search, studied_method
from study.phases.selection import select
from study.phases.session.messages import say_plan
from study.phases.state.study_in_progress import Study
from study.planning.preview.missing import missing_work
from study.terminal.progress import Progress
from tests.study.phases.played import EPOCHS, OWN, WORKERS, PlayedRay, nothing_more, play, selecting


def _missing(study: Study) -> float:
    return missing_work(study.checked.plan, study.checked.space, study.ledger, study.store.manifest()).epochs


def _said(study: Study) -> list[str]:
    shown = io.StringIO()
    say_plan(Progress(shown), replace(study.checked, origins={}), study.store, study.ledger)
    return shown.getvalue().splitlines()


def test_each_phase_takes_away_what_it_trains_until_nothing_is_left(study: Study, ray: PlayedRay) -> None:
    selecting(study, epochs_factor=3, long_seeds=1, ablation_seeds=2, confirm_top=2, tuned_baselines=("la",))
    trained: list[int] = []
    good = ray.outcome

    def outcome(config):
        trained.append(config["config"]["epochs"])
        return good(config)

    ray.outcome = outcome
    target = studied_method(study)
    phases = {
        "select": lambda: play(study, select, target),
        "tune": lambda: play(study, tune_baselines),
        "confirm": lambda: confirm(study, OWN, WORKERS, nothing_more),
        "longer": lambda: play(study, train_longer),
        "ablate": lambda: play(study, ablate),
    }
    most = _missing(study)
    play(study, search, target)
    before = _missing(study)
    assert most - before >= sum(trained), "the reference may be among the best"
    for name, run in phases.items():
        trained.clear()
        run()
        after = _missing(study)
        assert trained, name
        if name == "select":
            assert before - after == sum(trained), name
        elif name in ("tune", "ablate"):  # at most so many: candidates and knobs are known afterwards
            assert before - after >= sum(trained), name
        else:  # what is the same is trained once and filed twice
            confirmed = [run for run in study.ledger.runs.confirm_runs() if run.entry != "teacher"]
            is_longer = name == "longer"
            filed = [EPOCHS * run.epochs_factor for run in confirmed if (run.epochs_factor > 1) == is_longer]
            assert before - after == sum(filed) >= sum(trained), name
        before = after
    assert before == 0
    assert "time     nothing is left to train" in _said(study)


def test_a_continuation_says_its_hours(searched: Study) -> None:
    (line,) = [line for line in _said(searched) if line.startswith("time ")]
    assert line.startswith("time     about ")
    assert "for what is missing on " in line
