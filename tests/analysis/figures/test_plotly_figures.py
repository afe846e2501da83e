"""Interactive figures: valid for plotly, one line or point per trial, with the configuration to hover over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from analysis.figures.plotly_figures import MOST_LINES, history_lines, parallel_coordinates
from analysis.reading.study_folder import load_study
from search_spaces.acckd import ACCKD_FULL, ACCKD_SMOKE

Simulated = Callable[..., Path]

SMALL: dict[str, Any] = {"space": ACCKD_SMOKE, "n_trials": 8, "n_pruned": 2, "n_failed": 1}


def test_parallel_coordinates_have_a_line_a_complete_trial_on_every_knobs_own_scale(simulated: Simulated) -> None:
    study = load_study(simulated(space=ACCKD_FULL, n_trials=20, n_pruned=3, n_failed=0))
    figure = parallel_coordinates(study.complete, study.knobs)
    go.Figure(figure)  # plotly's own schema: an unknown key or value raises
    lines = figure["data"]
    assert len(lines) == len(study.complete) == 17
    assert all(len(line["y"]) == len(study.knobs) + 1 for line in lines)
    assert all(place is None or 0 <= place <= 1 for line in lines for place in line["y"])
    best = lines[-1]
    assert best["y"][0] == 1.0, "the value has the first axis"
    assert f"trial {study.highest_scoring.number}:" in best["text"]
    names = [knob.name for knob in study.knobs]
    without = [line for line in lines if line["y"][1 + names.index("kd_weight")] is None]
    assert len(without) == sum("kd_weight" not in trial.params for trial in study.complete) > 0


def test_many_trials_are_cut_to_the_best(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    many = study.complete * (MOST_LINES // len(study.complete) + 2)
    assert len(parallel_coordinates(many, study.knobs)["data"]) == MOST_LINES


def test_every_trial_with_a_value_can_be_pointed_at(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL, n_running=1))
    figure = history_lines(study.trials)
    go.Figure(figure)
    points = {n: text for trace in figure["data"] for n, text in zip(trace["x"], trace.get("text", []), strict=False)}
    assert set(points) == {t.number for t in study.trials if t.state.name in ("COMPLETE", "PRUNED")}
    assert all(f"mix_ratio {t.params['mix_ratio']:.4g}" in points[t.number] for t in study.complete)
