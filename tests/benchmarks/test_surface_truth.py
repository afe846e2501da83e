"""The truth of a response surface is told as it is: its noise, its effects, and what forty points of it show."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from optuna.trial import FrozenTrial

from analysis.search.trial_matrix import position
from benchmarks import response_surface, surface_truth
from benchmarks.response_surface import active_point, path_of, read_rows
from benchmarks.search_quality import emulator
from search_spaces.registry import get_space
from search_spaces.space import SearchSpace

_N_POINTS, _REPEATED, _NOISE = 100, 40, 0.005


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return get_space("acckd_core")


@pytest.fixture(scope="module")
def rows(space: SearchSpace) -> pd.DataFrame:
    """Runs whose accuracy depends on the temperature alone: 5 points over its range, 10,000 images per class."""
    rng, knob = np.random.default_rng(0), space.tunable[0]
    found = []
    for point, seed in [*((k, 1) for k in range(_N_POINTS)), *((k, s) for s in (2, 3) for k in range(_REPEATED))]:
        params = active_point(space, point)
        value = 0.7 + 0.05 * position(knob, params[knob.name]) + _NOISE * rng.normal()
        counts = [[round(10_000 * value)] * 2]
        found.append(
            {"point": point, "seed": seed, "params": json.dumps(params), "val": counts, "val_seen": [10_000] * 2}
        )
    found.append({**found[0], "point": 900, "seed": 2, "val": []})
    return pd.DataFrame(found)


@pytest.fixture(scope="module")
def trials(rows: pd.DataFrame, space: SearchSpace) -> list[FrozenTrial]:
    return surface_truth.trials_of(surface_truth.accuracies(rows), space)


def test_a_file_of_mixed_trainings_is_refused_and_no_emulator_is_fitted_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = read_rows(path_of("fashion_mnist_lt"))
    monkeypatch.setattr(response_surface, "RESULTS", tmp_path)
    other = recorded.tail(1).assign(point=999, precision="float32")
    pd.concat([recorded.head(3), other]).to_parquet(path_of("mixed"))
    said = 'mixed.parquet mixes runs of several trainings, which differ by precision "bfloat16" and "float32"'
    with pytest.raises(SystemExit, match=said):
        surface_truth.main(["--data", "mixed"])
    for recorded_as in (surface_truth.recorded, emulator):
        with pytest.raises(SystemExit, match=said):
            recorded_as("mixed", "acckd_full")


def test_a_diverged_run_has_the_value_of_chance(rows: pd.DataFrame) -> None:
    assert surface_truth.accuracies(rows)["value"].iloc[-1] == 0.5


def test_the_noise_is_that_between_seeds_of_one_point(rows: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    known = surface_truth.accuracies(rows).iloc[:-1]
    noise = surface_truth.noise_of(known)
    assert len(noise) == _REPEATED
    assert noise["var"].mean() ** 0.5 == pytest.approx(_NOISE, rel=0.15)
    true = 0.05**2 / 12
    assert surface_truth.print_noise(known, noise) == pytest.approx(true / (true + _NOISE**2), abs=0.05)
    assert "100 points, 40 of them on 3 seeds" in capsys.readouterr().out


def test_the_effects_name_the_knob_and_where_it_stands(
    trials: list[FrozenTrial], space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    surface_truth.print_effects(trials, space)
    first = capsys.readouterr().out.splitlines()[2].split(" | ")
    assert first[0] == f"| `{space.tunable[0].name}`"
    assert float(first[2]) < 0.01


def test_a_study_names_the_knob_and_its_surrogate_explains_what_is_left(
    trials: list[FrozenTrial], space: SearchSpace, capsys: pytest.CaptureFixture[str]
) -> None:
    shapes = surface_truth.true_shapes(trials, space)
    found = [surface_truth.study_of(trials, space, shapes, study) for study in range(2)]
    for study in found:
        assert study["named"] == [space.tunable[0].name] == study["told"]
        assert study["r2"]["the surrogate"] > 0.7
    assert surface_truth.print_studies(found, space, 0.9) == 0
    assert "| any of 3 knobs without effect | 0.0 %" in capsys.readouterr().out
    vain = [{**study, "named": ["null_a"]} for study in found] * 20
    assert surface_truth.print_studies(vain, space, 0.9) == 1
