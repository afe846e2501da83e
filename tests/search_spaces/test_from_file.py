"""A space from a YAML file says what the file says, or every fault of it at once."""

import re
from pathlib import Path
from textwrap import dedent, indent

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces.from_file import EXAMPLE, SpaceDraft, read_draft
from search_spaces.knob import Condition, SpaceError
from search_spaces.registry import get_space

HEAD = "name: mine\npurpose: Does it read?\nmethod: acckd\ntrials: 9\n"


@pytest.fixture
def draft(tmp_path: Path):
    def read(knobs: str, head: str = HEAD) -> SpaceDraft:
        path = tmp_path / "mine.yaml"
        path.write_text(head + "knobs:\n" + indent(dedent(knobs), "  "))
        return read_draft(path)

    return read


def _knob(name: str, *lines: str) -> str:
    return "\n".join([f"{name}:", *(f"  {line}" for line in lines), '  unit: "1"', "  reason: because", ""])


TEMPERATURE = _knob("temperature", "range: [1, 8]", "scale: log", "reference: 2")


def test_the_example_is_the_core_space_to_the_letter() -> None:
    found = read_draft(EXAMPLE)
    assert found.faults == ()
    assert found.space() == get_space("acckd_core")


def test_every_kind_of_knob_is_read(draft) -> None:
    knobs = (
        TEMPERATURE
        + _knob("lr", "range: [1e-3, 1E-1]", "scale: log", "reference: 1e-2")
        + _knob("tau", "range: [0.5, 1.5]", "step: 0.25", "reference: 1")
        + _knob("batch_size", "range: [16, 64]", "type: int", "step: 16", "reference: 32")
        + _knob("use_kd", "choices: [false, true]", "reference: false")
        + _knob("kd_weight", "range: [0.1, 3]", "reference: 1", "only_where: {use_kd: true}")
        + _knob("mix_op", "choices: [mixup, cutmix]", "reference: mixup", "only_where: {use_kd: [false]}")
    )
    found = draft(knobs + "\n", HEAD + "fixed: {estimator: prior, momentum: 0.8}\n")
    assert found.faults == ()
    space = found.space()
    assert space.distributions == {
        "temperature": FloatDistribution(1.0, 8.0, log=True),
        "lr": FloatDistribution(1e-3, 0.1, log=True),
        "tau": FloatDistribution(0.5, 1.5, step=0.25),
        "batch_size": IntDistribution(16, 64, step=16),
        "use_kd": CategoricalDistribution((False, True)),
        "kd_weight": FloatDistribution(0.1, 3.0),
        "mix_op": CategoricalDistribution(("mixup", "cutmix")),
    }
    assert space.conditions == (Condition("kd_weight", "use_kd", (True,)), Condition("mix_op", "use_kd", (False,)))
    assert (space.name, space.method, space.default_trials) == ("mine", "acckd", 9)
    assert space.fixed == {"estimator": "prior", "momentum": 0.8}
    assert space.reference_point()["temperature"] == 2.0
    assert type(space.reference_point()["temperature"]) is float


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("reference: 1",), "either range or choices"),
        (("range: [1, 2]", "choices: [1]", "reference: 1"), "either range or choices"),
        (("choices: [1, 1]", "reference: 1"), "choices must differ"),
        (("choices: []", "reference: 1"), "knobs.x.choices: "),
        (("choices: [1, 1.0, 2]", "reference: 1"), r"choices must differ in value; got \[1, 1.0, 2\]"),
        (("choices: [true, 1]", "reference: 1"), "choices must differ in value"),
        (("choices: [a, b, a]", "reference: a"), "choices must differ in value"),
        (("choices: [a]", "scale: log", "reference: a"), "scale goes with range"),
        (("range: [1]", "reference: 1"), "knobs.x.range: list should have at least 2 items"),
        (("range: [2, 1]", "reference: 1"), r"rise from one finite number to another; got \[2, 1\]"),
        (("range: [0, .inf]", "reference: 1"), "rise from one finite number"),
        (("range: [0, 1]", "scale: log", "reference: 1"), "must begin above 0"),
        (("range: [1, 2]", "scale: log", "step: 1", "reference: 1"), "exclude each other"),
        (("range: [0, 1]", "step: 0.3", "reference: 0"), "steps of 0.3 must lead from 0 to 1"),
        (("range: [0, 1]", "step: 2", "reference: 0"), "step must be above 0 and within"),
        (("range: [0, 1.5]", "type: int", "reference: 0"), "whole numbers where type is int"),
        (("range: [0, 2]", "type: int", "reference: 0.5"), "reference value of knob 'x' must lie in its range"),
        (("range: [0, 1]", "reference: 3"), "reference value of knob 'x' must lie in its range"),
        (("range: [0, 1]", "reference: 0", "rnage: 1"), "knobs.x.rnage is no key; keys are range, type, scale"),
        (("range: [0, 1]",), "knobs.x.reference is missing"),
        (("range: [0, one]", "reference: 0"), "knobs.x.range: "),
        (("range: [0, 1]", "scale: cubic", "reference: 0"), "'linear' or 'log'; got 'cubic'"),
        (("range: [0, 1]", "reference: 0", "only_where: {y: 1}"), "'y', which is not searched"),
    ],
)
def test_a_knob_that_is_wrong_is_refused_with_the_rule(draft, lines, words) -> None:
    assert re.search(words, "\n".join(draft(_knob("x", *lines)).faults))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (HEAD.replace("trials: 9\n", ""), "trials is missing"),
        (HEAD.replace("9", "0"), "trials: input should be greater than or equal to 1"),
        (HEAD.replace("mine", "my space"), "a name is 1 to 64"),
        (HEAD + "samplr: tpe\n", "samplr is no key; keys are name, purpose, method, trials, knobs, fixed"),
        (HEAD + "fixed: {tau: [1]}\n", "fixed: "),
        (HEAD + "fixed: {temperature: 3}\n", "both searched and fixed"),
    ],
)
def test_a_head_that_is_wrong_is_refused_with_the_rule(draft, head, words) -> None:
    assert words in "\n".join(draft(TEMPERATURE, head).faults)


def test_every_fault_is_named_at_once(draft) -> None:
    knobs = _knob("a", "range: [2, 1]", "reference: 1") + _knob("b", "reference: 1") + _knob("c", "range: [0, 1]")
    found = draft(knobs + _knob("d", "range: [0, 1]", "reference: 7"), HEAD.replace("trials: 9\n", "budget: 3\n"))
    text = "\n".join(found.faults)
    for words in ("trials is missing", "budget is no key", "knobs.a: range", "knobs.b: must have", "knobs.c.reference"):
        assert words in text
    assert "knob 'd' must lie" in text
    assert len(found.faults) == 6
    assert found.named == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "not YAML: line 1"),
        ("", "keys and values"),
        ("- 1\n", "keys and values"),
        ("name: a\nname: b\nknobs:\n  x: 1\n  x: 2\n", "line 2: 'name' is given twice"),
        ("a: &a [1]\nb: *a\n", "aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "could not determine a constructor"),
        ("[" * 5000, "not YAML: RecursionError"),
        ("a: 2026-13-45\n", "not YAML: ValueError"),
        ("#" * 300_000, "at most 262144 bytes"),
    ],
)
def test_a_file_that_is_no_plain_yaml_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(SpaceError, match=r"odd\.yaml") as caught:
        read_draft(path)
    assert words in str(caught.value)


def test_all_keys_given_twice_are_named(tmp_path: Path) -> None:
    (tmp_path / "twice.yaml").write_text("name: a\nname: b\nknobs:\n  x: 1\n  x: 2\n")
    with pytest.raises(SpaceError) as caught:
        read_draft(tmp_path / "twice.yaml")
    assert len(caught.value.faults) == 2


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("none.yaml", "bytes.yaml"):
        with pytest.raises(SpaceError, match="cannot be read as text"):
            read_draft(tmp_path / name)
