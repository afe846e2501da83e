"""run.log takes what libraries say; the terminal is for the user."""

import logging
from pathlib import Path

import optuna
import pytest

from study.records.run_log import logging_to


@pytest.mark.parametrize("name", ["optuna._gp.batched_lbfgsb", "optuna.samplers", "optuna"])
def test_optunas_warnings_go_to_the_file_alone(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    optuna.logging.enable_default_handler()
    logger = logging.getLogger(name)
    with logging_to(tmp_path / "run.log"):
        logger.warning("The 'greenlet' package is unavailable")
    assert capfd.readouterr() == ("", "")
    assert f"{name} WARNING The 'greenlet' package is unavailable" in (tmp_path / "run.log").read_text()
    handlers = list(logging.getLogger("optuna").handlers)
    assert handlers, "outside a study Optuna speaks as before"
