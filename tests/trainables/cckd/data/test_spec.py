"""Naming a data set on the command line."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainables.cckd.data.images.sets import DataSetInfo
from trainables.cckd.data.registry import list_data
from trainables.cckd.data.spec import parse_data
from trainables.cckd.data.splits import resolve_split
from trainables.cckd.errors import DataError


def test_gaps_are_filled_with_the_sets_defaults() -> None:
    spec = parse_data("fashion_mnist_lt:ir=100")
    assert dict(spec.options) == {"n_max": 200, "ir": 100.0, "imb_type": "exp"}
    assert str(spec) == "fashion_mnist_lt:n_max=200,ir=100,imb_type=exp"


@given(
    st.sampled_from([info.name for info in list_data() if info.options.get("n_max")]),
    st.integers(400, 6000),
    st.floats(1, 300),
    st.sampled_from(["exp", "step"]),
)
def test_a_specs_text_reads_back_as_the_same_spec(name: str, n_max: int, ir: float, imb_type: str) -> None:
    spec = parse_data(f"{name}:n_max={n_max},ir={ir!r},imb_type={imb_type}")
    assert spec.options["ir"] == ir
    assert parse_data(str(spec)) == spec


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1), st.integers(2, 9))
@example(', "', 3)
@example('"a', 3)
@example('a\\",ir=9', 3)
def test_a_path_of_any_text_reads_back(folder: str, n_max: int) -> None:
    spec = parse_data(f"image_folder:path={json.dumps('/data/' + folder)},n_max={n_max}")
    assert spec.options["n_max"] == n_max
    assert spec.options["path"] == os.path.abspath("/data/" + folder)
    assert parse_data(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("digits_lt:ir=5,,n_max=20", "must read key=value; got ''"),
        ("digits_lt:ir=5,", "must read key=value; got ''"),
        ('digits_lt:ir="', "option ir must be a number"),
        ('image_folder:path="/a,b', "must read key=value; got 'b'"),
        ("image_folder:path=/a/com,ma", "got 'ma'; a value with a comma stands in double quotes, image_folder:KEY=\"a"),
        ("image_list:root=/a,train=x,y,test=z", "got 'y'; a value with a comma stands in double quotes"),
        ("digits_lt:n_max", "must read key=value; got 'n_max'$"),
        ('image_folder:path="/a"b,ir=x', "option ir must be a number"),
    ],
)
def test_a_quote_that_does_not_close_quotes_nothing(text: str, fault: str) -> None:
    with pytest.raises(DataError, match=fault):
        parse_data(text)


def test_a_spec_survives_pickling() -> None:
    spec = parse_data("digits_lt")
    assert pickle.loads(pickle.dumps(spec)) == spec


def test_an_unknown_set_is_refused_with_the_choices_and_the_close_one() -> None:
    with pytest.raises(
        DataError,
        match=r"one of fashion_mnist_lt, digits_lt, .*; got 'fashon_mnist_lt'; did you mean fashion_mnist_lt\?",
    ):
        parse_data("fashon_mnist_lt")


def test_every_fault_of_the_options_is_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_data("digits_lt:n_max=many,size=3,ir=0.5,ir=7,step,imb_type=linear")
    named = ["whole number; got 'many'", "got 'size'", "given once", "got 'step'", "got 0.5", "got 'linear'"]
    assert len(caught.value.faults) == len(named)
    assert all(part in fault for part, fault in zip(named, caught.value.faults, strict=True))


@pytest.mark.parametrize("ir", ["inf", "nan", "1e999", "-3"])
def test_an_imbalance_that_is_no_finite_ratio_is_refused(ir: str) -> None:
    with pytest.raises(DataError, match="ir must be a finite number of at least 1"):
        parse_data(f"digits_lt:ir={ir}")


def test_a_tail_that_would_leave_a_class_empty_is_refused() -> None:
    with pytest.raises(DataError, match="every class keeps an image; got n_max=10, ir=50"):
        parse_data("digits_lt:n_max=10,ir=50")


@pytest.mark.parametrize("info", list_data(), ids=lambda info: info.name)
def test_every_listed_set_parses_describes_itself_and_has_a_split(info: DataSetInfo) -> None:
    spec = parse_data(f"{info.name}:{','.join(f'{key}=x' for key in info.required)}".rstrip(":"))
    tail = spec.tail(len(info.class_names or "ab"))
    assert tail is None or len(tail) == len(info.class_names)
    assert info.description.endswith(".")
    assert info.recipe() is info.recipes[0]
    assert resolve_split(info, None) == info.default_split == info.splits[0]


def test_the_default_splits_are_the_documented_ones() -> None:
    defaults = {info.name: info.default_split for info in list_data()}
    assert {name for name, split in defaults.items() if split == "split_test"} == {"cifar10_lt", "cifar100_lt"}
    assert {name for name, split in defaults.items() if split == "paper"} == {"inat2018"}
    assert {name for name, split in defaults.items() if split == "holdout"} == {"fashion_mnist_lt", "digits_lt"}


def test_paths_become_absolute_and_keep_their_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = parse_data("image_folder:path=sets/v1.0")
    assert spec.options["path"] == str(tmp_path / "sets" / "v1.0")
    monkeypatch.chdir("/")
    assert parse_data(str(spec)) == spec


def test_options_that_must_be_given_and_those_out_of_range_are_named_at_once() -> None:
    with pytest.raises(DataError) as caught:
        parse_data("image_list:root=x,size=4,crop_scale=2,holdout=0,imb_type=linear,ir=0.5")
    named = ["train must be given", "test must be given", "got 4", "got 2", "got 0", "got 0.5", "got 'linear'"]
    assert len(caught.value.faults) == len(named)
    assert all(part in fault for part, fault in zip(named, caught.value.faults, strict=True))


def test_an_imbalance_without_n_max_is_refused_for_sets_that_keep_every_image_otherwise() -> None:
    assert parse_data("image_folder:path=x").tail(7) is None
    assert parse_data("image_folder:path=x,n_max=40,ir=4").tail(3) == (40, 20, 10)
    with pytest.raises(DataError, match="ir needs n_max"):
        parse_data("image_folder:path=x,ir=4")


def test_groups_take_the_two_conventions_only() -> None:
    assert parse_data("cifar100_lt:groups=ir100").group_counts[-1] == 5
    assert parse_data("cifar100_lt").group_counts is None
    with pytest.raises(DataError, match="option groups must be one of counts, ir100; got 'lift'"):
        parse_data("cifar100_lt:groups=lift")


def test_a_split_that_makes_no_sense_for_the_set_is_refused_with_the_choices() -> None:
    info = parse_data("digits_lt").info
    with pytest.raises(DataError, match=r"one of holdout, split_test, paper; got 'own'$"):
        resolve_split(info, "own")
    with pytest.raises(DataError, match=r"got 'half' \(no such mode\)"):
        resolve_split(info, "half")


def test_naming_sets_and_checking_the_teacher_does_not_import_torch() -> None:
    code = (
        "import sys; from trainables.cckd import long_tail, metrics; from trainables.cckd.bundle import assemble; "
        "from trainables.cckd.data import load, spec; from trainables.cckd.teacher import spec as teacher; "
        "from trainables.cckd.teacher.cache import feature_cache; from trainables.cckd.teacher.fit import fit_cache; "
        "spec.parse_data('digits_lt'); teacher.check_teacher(teacher.TeacherSpec()); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
