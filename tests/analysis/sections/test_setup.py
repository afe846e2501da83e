"""How the search was set up, in words."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.page.writer import Writer
from analysis.reading.study_folder import load_study
from analysis.sections.setup import provenance_section


@pytest.mark.parametrize(
    ("sampler", "n_spread", "said"),
    [
        ("lhs", 4, "sampler lhs (all spread evenly), pruner"),
        ("lhs+tpe", 4, "sampler lhs+tpe (4 evenly spread trials first), pruner"),
        ("tpe", 0, "sampler tpe, pruner"),
    ],
)
def test_the_page_says_which_trials_are_spread_evenly(
    sampler: str, n_spread: int, said: str, simulated: Callable[[], Path], tmp_path: Path
) -> None:
    study = load_study(simulated())
    plan = {**study.manifest["plan"], "sampler": sampler, "n_sobol": n_spread}
    section = provenance_section(replace(study, manifest={**study.manifest, "plan": plan}), Writer(tmp_path))
    assert said in str(section)
