"""The first screen claims what the intervals carry, and nothing else."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from scipy import stats

from analysis.page.document import Paragraph
from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.results.accuracies import scores
from analysis.results.comparisons import claim_terms, primary_family
from analysis.results.findings import Findings, find
from analysis.search.importance import Importances
from analysis.sections.confirmation.comparisons import comparison_table
from analysis.sections.recommendation import recommendation_section
from study.strategy.guards import Guard
from tests.analysis.simulation import SETTINGS, fail_run, paired_values, rewriting, set_last_counts, with_gains
from tests.support.prose import long_sentences
from trainables.cckd.records import ClassCounts

#: The baselines in the words of a headline.
OF_LA = "logit adjustment (la)"
OF_KD = "logit adjustment with classic distillation (kd)"

Simulated = Callable[..., Path]
LA = (0.86, 0.50)
SMALL = {"n_trials": 6, "n_pruned": 0, "n_failed": 0}


def _find(folder: Path, n_complete: int = 6) -> Findings:
    return find(load_study(folder), Importances(pd.DataFrame(), n_complete, ()))


def _recalls(best: tuple[float, float], **others: tuple[float, float]) -> dict[str, tuple[float, float]]:
    return {"la": LA, "kd": (0.93, 0.30), "acckd": (0.84, 0.58), "best1": best} | others


def test_a_gain_over_both_baselines_is_told_with_its_size_and_interval(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls((0.83, 0.64)), **SMALL))
    assert found.headline == f"A gain over {OF_LA} and {OF_KD} at 20 epochs, not checked at more"
    assert "beats logit adjustment (la) by 5." in found.sentences[0]
    assert "95 % interval +" in found.sentences[0]


def test_no_difference_is_reported_as_no_gain(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls(LA, kd=LA), **SMALL))
    assert found.headline == f"No gain shown over {OF_LA} and {OF_KD}"
    assert "cannot be distinguished" in found.sentences[0]


@pytest.mark.parametrize(
    ("best", "kd", "headline"),
    [
        ((0.80, 0.36), (0.93, 0.30), f"No gain: worse than {OF_LA} and {OF_KD}"),
        ((0.82, 0.46), (0.82, 0.46), f"No gain: worse than {OF_LA}, none shown over {OF_KD}"),
        ((0.82, 0.46), (0.93, 0.30), f"Worse than {OF_LA}, a gain over {OF_KD} at 20 epochs, not checked at more"),
    ],
)
def test_a_loss_is_called_one_and_takes_no_gain_away(
    simulated: Simulated, best: tuple[float, float], kd: tuple[float, float], headline: str
) -> None:
    found = _find(simulated(recalls=_recalls(best, kd=kd), **SMALL))
    assert found.headline == headline
    assert "falls behind logit adjustment (la)" in found.sentences[0]


def test_a_gain_over_one_baseline_only_names_the_other(simulated: Simulated) -> None:
    found = _find(simulated(recalls=_recalls(LA), **SMALL))
    assert found.headline == f"A gain over {OF_KD} at 20 epochs, not checked at more, none shown over {OF_LA}"


def test_the_price_for_the_head_is_told(simulated: Simulated) -> None:
    sentences = " ".join(_find(simulated(recalls=_recalls((0.80, 0.64)), **SMALL)).sentences)
    assert "Per point more on Few there are" in sentences


@pytest.mark.parametrize("n_seeds", [1, 2, 5])
def test_fewer_than_six_seeds_claim_nothing(simulated: Simulated, n_seeds: int) -> None:
    found = _find(simulated(n_seeds=n_seeds, **SMALL))
    assert found.headline == "An indication only: fewer than 6 seeds"
    assert "beats" not in " ".join(found.sentences)


def test_a_diverged_run_counts_at_chance_and_is_told(simulated: Simulated) -> None:
    folder = simulated(recalls=_recalls((0.83, 0.64)), **SMALL)
    before = _find(folder).sentences[0]
    fail_run(folder, "best1", 1003, "non-finite loss: 'cckd' became inf at epoch 3, step 7")
    found = _find(folder)
    assert "beats logit adjustment (la)" in before
    assert found.headline == f"No gain shown over {OF_LA} and {OF_KD}"
    (on_val,) = (text for text in found.sentences if " % there on average over 6 fresh seeds" in text)
    reached = float(found.sentences[0].split("reaches ")[1][:4])
    # Validation lies half a point above test; the diverged run is at chance on both.
    assert float(on_val.split(" % there")[0].split()[-1]) == pytest.approx(reached + 0.5 * 5 / 6, abs=0.11)
    mean = (5 * float(before.split("reaches ")[1][:4]) + 10) / 6
    assert float(found.sentences[0].split("reaches ")[1][:4]) == pytest.approx(mean, abs=0.6)
    assert "(mean of 6 seeds)" in found.sentences[0]
    (told,) = (text for text in found.warnings if text.startswith("Diverged"))
    assert "1 run of best1. Such a run counts in every mean, gain and test with an accuracy of 10.0 %" in told


def test_a_baselines_diverged_run_counts_too(simulated: Simulated) -> None:
    folder = simulated(recalls=_recalls((0.83, 0.64)), **SMALL)
    fail_run(folder, "la", 1003, "non-finite loss: it became nan")
    found = _find(folder)
    assert found.headline == f"A gain over {OF_KD} at 20 epochs, not checked at more, none shown over {OF_LA}"
    assert any("1 run of la." in text for text in found.warnings)


@pytest.mark.parametrize("n_seeds", [6, 9])
@pytest.mark.parametrize("entry", ["best1", "la"])
def test_headline_sentences_and_table_say_the_same_of_a_missing_run(
    simulated: Simulated, tmp_path: Path, entry: str, n_seeds: int
) -> None:
    folder = simulated(recalls=_recalls((0.83, 0.64)), n_seeds=n_seeds, **SMALL)
    fail_run(folder, entry, 1003, "out of memory: Ray killed the worker")
    found, n = _find(folder), n_seeds - 1
    missing = ["la", "kd"] if entry == "best1" else ["la"]
    assert found.headline == (
        "No claim: runs of the confirmation are missing"
        if entry == "best1"
        else f"A gain over {OF_KD} at 20 epochs, not checked at more, "
        f"none claimed over {OF_LA}, whose runs are incomplete"
    )
    assert found.sentences[0].count("beats") == 2 - len(missing)
    assert found.sentences[0].count(f"no claim, because 1 of {n_seeds} pairs of runs is missing") == len(missing)
    (told,) = (text for text in found.sentences if text.startswith("Incomplete"))
    assert all(f"{name} ({n} of {n_seeds} pairs of runs)" in told for name in missing)
    assert any(text.startswith(f"Lost (out of memory): 1 run of {entry}.") for text in found.warnings)
    study = load_study(folder)
    writer = Writer(tmp_path)
    comparison_table(study, primary_family(scores(study), claim_terms(study)), writer)
    verdicts = pd.read_csv(tmp_path / "tables" / "comparisons.csv").set_index("comparison")["verdict"]
    assert [verdicts[f"best1 - {name}"] for name in missing] == [f"incomplete: {n} of {n_seeds} runs"] * len(missing)


def test_a_second_look_is_told_with_its_level(simulated: Simulated) -> None:
    folder = simulated(recalls=_recalls((0.83, 0.64)), **SMALL)
    manifest = json.loads((folder / "study.json").read_text())
    manifest["looks"] = [{"seeds": 4, "subsets": 1, "trial": manifest["confirm_entries"]["best1"]["trial"]}]
    (folder / "study.json").write_text(json.dumps(manifest))
    (told,) = (text for text in _find(folder).sentences if text.startswith("This is look 2 at the test set"))
    assert "So a claim needs an adjusted p of at most 0.005 in place of 0.05." in told


@pytest.mark.parametrize(
    ("p", "n_looks", "why"),
    [
        (0.01, 2, "not significant at level 0.005"),
        (0.002, 3, "not significant at level 0.0025"),
        (0.04, 1, "not significant after Holm's correction"),
        (0.04, 2, "not significant after Holm's correction"),
    ],
)
def test_what_keeps_an_interval_beside_0_from_a_claim_is_named(
    simulated: Simulated, p: float, n_looks: int, why: str
) -> None:
    """The Holm-adjusted p is twice `p`: over la it is the smaller of two."""
    study = load_study(simulated(recalls=_recalls((0.83, 0.64)), **SMALL))
    gains = {"la": paired_values(0.01 * stats.t.isf(p / 2, 5) / stats.t.ppf(0.975, 5), 0.01)}
    gains["kd"] = paired_values(0.001, 0.01)
    study = with_gains(study, "la", "test_balanced_accuracy", gains["la"])
    table = study.confirm.copy()
    of_best = table.loc[table["entry"] == "best1", "test_balanced_accuracy"].to_numpy()
    table.loc[table["entry"] == "kd", "test_balanced_accuracy"] = of_best - gains["kd"]
    study = replace(study, confirm=table, confirm_all=table)
    study.manifest["looks"] = [{"seeds": n, "subsets": 1, "trial": 0} for n in range(1, n_looks)]
    (la, _) = primary_family(scores(study), claim_terms(study))
    assert la.p_holm == pytest.approx(2 * p)
    said = find(study, Importances(pd.DataFrame(), 6, ())).sentences[0]
    assert re.search(rf"from logit adjustment \(la\): \+[\d.]+ points \(95 % interval [^)]+\), {why}\.", said)


TUNED = {"la_tuned": (0.86, 0.52), "kd_tuned": (0.84, 0.63)}


@pytest.mark.parametrize(
    "plan",
    [
        {},
        {"recalls": _recalls((0.82, 0.46)) | TUNED},
        {"longer": {"la": LA, "best1": (0.84, 0.52), "kd": (0.95, 0.60)}},
        {"longer": {"la": LA, "best1": (0.84, 0.52), "kd": (0.93, 0.30)}, "seed_sd": 0.1},
        {"n_cuts": 6, "n_seeds": 2, "longer": {"la": LA, "best1": (0.84, 0.52), "kd": (0.93, 0.30)}},
        {"n_cuts": 2},
        {"recalls": _recalls((0.83, 0.64)) | TUNED, "longer": TUNED | {"best1": (0.83, 0.56)}},
    ],
    ids=str,
)
def test_no_sentence_is_longer_than_25_words_before_its_list(simulated: Simulated, plan: dict[str, Any]) -> None:
    folder = simulated(**SMALL | {"recalls": _recalls((0.83, 0.64)), **plan})
    for entry, seed, cause in (("kd", 1001, "out of memory: Ray"), ("la", 1002, "non-finite loss: it became nan")):
        assert not [said for item in _find(folder).sentences for said in long_sentences(item)]
        fail_run(folder, entry, seed, cause)


def _ranked(*named: str) -> Importances:
    frame = pd.DataFrame({"target": "all", "knob": ["a", "b", "c"], "share": [0.5, 0.2, 0.0]})
    frame = frame.assign(p_family=[0.002, 0.03, 0.9], matters=frame["knob"].isin(named))
    return Importances(frame.assign(ped_anova=[0.5, 0.4, 0.1], fanova=[0.3, 0.6, 0.1]), 60, (), {"all": 0.3})


def test_only_knobs_that_the_screen_names_are_said_to_matter(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    told = " ".join(find(study, _ranked("a", "b")).sentences)
    assert "Of 3 knobs 2 are shown to matter in 60 complete trials: a (50 %, p 0.002) and b (20 %, p 0.030)." in told
    assert "fANOVA puts b first." in told
    none = " ".join(find(study, _ranked()).sentences)
    assert "None of 3 knobs is shown to matter for all classes in 60 complete trials. About 30 % of the var" in none


def test_two_measures_that_put_the_same_knob_first_are_named_together(simulated: Simulated) -> None:
    importances = _ranked("a")
    importances.frame["ped_anova"] = importances.frame["fanova"]
    told = " ".join(find(load_study(simulated(**SMALL)), importances).sentences)
    assert "PED-ANOVA and fANOVA put b first." in told


def test_every_confirmed_report_says_what_it_is_conditional_on(simulated: Simulated) -> None:
    assert "conditional on one training subset" in _find(simulated(**SMALL)).sentences[-1]


def test_the_choice_among_finalists_is_told_with_the_luck_of_the_search(simulated: Simulated) -> None:
    folder = simulated()
    study = load_study(folder)
    assert study.best is not None
    shutil.rmtree(folder)
    runs = {study.best.number: (0.61, 0.63), 0: (0.50, 0.52)}
    told = " ".join(_find(simulated(finalists=runs)).sentences)
    assert f"best1 is trial {study.best.number}, chosen among 2 finalists by the mean of 2 fresh runs" in told
    assert "62.0 % there" in told
    assert "was 62.0 % on average when trained again" in told


def test_without_a_confirmation_no_gain_is_claimed(simulated: Simulated) -> None:
    found = _find(simulated(n_seeds=0, **SMALL))
    assert found.headline == "A best configuration, not yet confirmed on the test set"
    assert "The highest of many noisy values lies above its own mean." in found.sentences
    assert any(sentence.startswith("No gain is claimed without a confirmation") for sentence in found.sentences)


@pytest.mark.parametrize(
    ("finalists", "plan", "how"),
    [
        ({0: (0.75, 0.76), 1: (0.61, 0.63)}, {}, "by the mean of 2 fresh runs on validation"),
        ({}, {"second_objective": "few"}, "as the knee of two objectives on validation"),
        ({}, {"guards": {"many": 1.0}}, "within the guards on validation"),
        ({}, {}, "by fresh runs on validation"),
    ],
)
def test_a_trial_that_has_not_the_highest_score_is_said_to_be_chosen(
    simulated: Simulated, tmp_path: Path, finalists: dict[int, tuple[float, ...]], plan: dict[str, Any], how: str
) -> None:
    study = load_study(simulated(n_seeds=0, finalists=finalists, **SMALL))
    study.manifest["chosen_trial"] = 0
    study.manifest["plan"].update(plan)
    assert study.best is not study.highest_scoring
    found = find(study, Importances(pd.DataFrame(), 6, ()))
    score = f"{100 * study.complete[0].value:.1f}"
    assert found.sentences[0] == (
        f"Trial 0 is chosen {how}; its single run scored {score} % there (6 complete, 0 pruned, 0 failed)."
    )
    assert found.sentences[1].startswith("No gain is claimed without a confirmation")
    (first, *_) = recommendation_section(study, Writer(tmp_path)).blocks
    assert first == Paragraph(f"Chosen {how}. It is not confirmed: treat it as a candidate.")


def test_without_finalists_the_three_figures_of_best1_stand_without_a_verdict(simulated: Simulated) -> None:
    study = load_study(simulated(**SMALL))
    (told,) = (text for text in _find(study.folder).sentences if text.startswith(f"Trial {study.best.number} scored "))
    assert " % on validation in the search, " in told
    assert " % there on average over 6 fresh seeds, and " in told
    assert "chance" not in told


def test_a_running_study_says_so(simulated: Simulated) -> None:
    found = _find(simulated(n_seeds=0, status="running", n_running=2, **SMALL))
    assert found.headline.startswith("Still running")


def test_a_study_without_a_complete_trial_says_so(simulated: Simulated) -> None:
    found = _find(simulated(n_trials=0, n_pruned=0, n_failed=0, n_seeds=0, status="failed"))
    assert found.headline == "No trial ran to the end"
    assert found.warnings == ("The study is marked failed: it holds less than was planned.",)


def test_selection_on_test_and_a_weak_teacher_are_warned_of(simulated: Simulated) -> None:
    recalls = _recalls((0.83, 0.64), teacher=(0.5, 0.3))
    warnings = _find(simulated(selected_on="test", recalls=recalls, **SMALL)).warnings
    assert warnings[0].startswith("Selected on test")
    assert "lies below la on test" in warnings[1]


@pytest.mark.parametrize(
    ("recipe", "warned"),
    [
        ({"not_trained_out": "recipe quick"}, ["Not trained out: recipe quick."]),
        ({"not_trained_out": None}, []),
        ({"not_trained_out": 7}, []),
        ("quick", []),
        (None, []),
    ],
)
def test_a_study_that_is_not_trained_out_says_so(simulated: Simulated, recipe: object, warned: list[str]) -> None:
    study = load_study(simulated(**SMALL))
    study.manifest["recipe"] = recipe
    warnings = find(study, Importances(pd.DataFrame(), 6, ())).warnings
    assert [warning for warning in warnings if warning.startswith("Not trained")] == warned


UNKNOWN = "length not measured for this cut (n_max=500); that of recipe field was measured for n_max=200"


@pytest.mark.parametrize(
    ("longer", "more"),
    [
        ({}, ""),
        (
            {"longer": {"la": LA, "best1": (0.83, 0.64), "kd": (0.95, 0.60)}},
            " This is by the recipe; the runs at 40 epochs show no further rise of la and best1.",
        ),
    ],
)
def test_a_length_that_is_not_known_for_the_cut_is_said_where_the_stamp_would_stand(
    simulated: Simulated, longer: dict[str, object], more: str
) -> None:
    study = load_study(simulated(**longer, **SMALL))
    for reason, said in ((None, f"L{UNKNOWN[1:]}."), ("recipe quick", "Not trained out: recipe quick.")):
        study.manifest["recipe"] = {"not_trained_out": reason, "length_not_measured": UNKNOWN}
        assert find(study, Importances(pd.DataFrame(), 6, ())).warnings[0] == said + more


def test_where_the_longer_runs_show_no_rise_the_stamp_of_the_recipe_says_so(simulated: Simulated) -> None:
    study = load_study(simulated(longer={"la": LA, "best1": (0.83, 0.64), "kd": (0.95, 0.60)}, **SMALL))
    study.manifest["recipe"] = {"not_trained_out": "recipe quick"}
    found = find(study, Importances(pd.DataFrame(), 6, ()))
    assert found.warnings[0] == (
        "Not trained out: recipe quick. "
        "This is by the recipe; the runs at 40 epochs show no further rise of la and best1."
    )


def test_a_teacher_worse_than_la_where_choices_are_made_is_warned_of(simulated: Simulated) -> None:
    folder = simulated(**SMALL)
    study = load_study(folder)
    la = study.confirm.loc[study.confirm["entry"] == "la", "val_balanced_accuracy"].mean()
    for own, n_warned in ((la - 0.01, 1), (la + 0.01, 0)):
        study.manifest["teacher"]["val_balanced_accuracy"] = own
        warnings = find(study, Importances(pd.DataFrame(), 6, ())).warnings
        assert sum("lies below la on validation" in warning for warning in warnings) == n_warned


def _amend(folder: Path, guards: Any, judged: Any) -> Path:
    path = folder / "study.json"
    manifest = json.loads(path.read_text())
    manifest["plan"]["guards"] = guards
    path.write_text(json.dumps(manifest | {"guards": judged}))
    return folder


def test_a_guard_that_was_kept_is_told_with_its_counts(simulated) -> None:
    folder = _amend(simulated(**SMALL), {"many": 1.0, "few": -2.5}, {"kept": 4, "complete": 6, "unmet": None})
    found = _find(folder)
    (told,) = (sentence for sentence in found.sentences if "could become best1" in sentence)
    assert "lose at most 1 point of Many to the reference point and gain at least 2.5 points of Few" in told
    assert told.endswith("4 of 6 complete trials do.")
    assert found.warnings == ()


def test_a_guard_that_nothing_kept_is_a_warning(simulated) -> None:
    found = _find(_amend(simulated(**SMALL), {"many": -9.0}, {"kept": 0, "complete": 6, "unmet": "no trial keeps it"}))
    assert not any("could become best1" in sentence for sentence in found.sentences)
    assert any("The guard did not decide: no trial keeps it" in warning for warning in found.warnings)


@pytest.mark.parametrize(
    ("guards", "judged"), [({}, {"kept": 1}), (None, None), ([1], [2]), ({"x": "y"}, {"kept": []})]
)
def test_a_strangers_manifest_says_nothing_false_and_breaks_nothing(simulated, guards: Any, judged: Any) -> None:
    assert not any("could become best1" in said for said in _find(_amend(simulated(**SMALL), guards, judged)).sentences)


def test_before_the_confirmation_the_best_trial_is_one_that_keeps_the_guard(simulated) -> None:
    folder = simulated(n_seeds=0, **SMALL)
    highest_scoring = load_study(folder).best
    assert highest_scoring is not None
    assert highest_scoring.number != 0
    with rewriting(folder) as ledger:  # it alone loses all of class 0
        guards = (Guard("many", 50.0, (0,)),)
        ledger._study.set_user_attr("settings", replace(SETTINGS, guards=guards).to_json())
        set_last_counts(ledger, highest_scoring.number, ClassCounts((0, *[10] * 9), (10,) * 10))
    best = load_study(folder).best
    assert best is not None
    others = [trial for trial in load_study(folder).complete if trial.number != highest_scoring.number]
    assert best.number == max(others, key=lambda trial: trial.value).number
