import pytest

from trainables.cckd.errors import ConfigError
from trainables.cckd.students.speed import multiply_adds, step_seconds


def test_the_published_multiply_adds_of_resnet18() -> None:
    assert multiply_adds("resnet18", 1000, 3, 224) == pytest.approx(1.814e9, rel=1e-3)


def test_the_measured_rates_are_met() -> None:
    # What the constants of speed.py were measured on.
    resnet8, resnet32 = (multiply_adds(f"resnet{depth}_cifar", 10, 3, 32) for depth in (8, 32))
    on_clothing = multiply_adds("resnet8_cifar", 10, 1, 28)
    samples = step_seconds(on_clothing, 129, "cpu") - step_seconds(on_clothing, 1, "cpu")
    assert 128 / samples == pytest.approx(1650, rel=0.03)
    assert step_seconds(on_clothing, 128, "cuda") == pytest.approx(1.65e-3, rel=0.1)
    assert step_seconds(resnet32, 128, "cuda") == pytest.approx(4.1e-3, rel=0.1)
    deep, flat = (step_seconds(size, 128, "cpu") - step_seconds(size, 0, "cpu") for size in (resnet32, resnet8))
    assert deep / flat == pytest.approx(resnet32 / resnet8)


def test_a_step_on_a_few_pixels_takes_more_than_its_multiply_adds() -> None:
    on_digits = multiply_adds("resnet8_cifar", 10, 1, 8)
    assert 7e-3 < step_seconds(on_digits, 128, "cpu") < 19e-3, "between the two machines that were measured"


def test_an_unknown_student_is_refused() -> None:
    with pytest.raises(ConfigError, match="got 'resnet8_ciphar'"):
        multiply_adds("resnet8_ciphar", 10, 3, 32)
