"""The order of the entries does not depend on whether the module of an own method is at hand."""

import pytest

from analysis.results import entries as module
from analysis.results.entries import entries_in_order
from study.schema import TUNED_SUFFIX
from trainables.own_method import OwnMethod

ORDER = ["teacher", "la", "la_tuned", "acckd", "focal_kd", "focal_kd_tuned", "best1", "best2", "best10"]


def test_an_own_method_is_the_last_rung_before_the_searched_entries() -> None:
    assert entries_in_order(reversed(ORDER)) == ORDER


def test_the_order_is_the_same_where_the_method_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ORDER", (*module._ORDER, "focal_kd", "focal_kd_tuned"))
    assert entries_in_order(reversed(ORDER)) == ORDER


@pytest.mark.parametrize("name", ["teacher", "best1", f"la{TUNED_SUFFIX}"])
def test_no_own_method_has_the_name_of_another_entry(name: str) -> None:
    assert len(OwnMethod(name, "A loss.", print).faults()) == 1
