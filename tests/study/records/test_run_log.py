"""run.log takes what libraries say; the terminal is for the user."""

import logging
import warnings
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


@pytest.mark.parametrize("speaks", [True, False])
@pytest.mark.parametrize("captured", [True, False])
def test_after_a_study_everything_is_said_where_it_was_said_before(
    tmp_path: Path, speaks: bool, captured: bool
) -> None:
    (optuna.logging.enable_default_handler if speaks else optuna.logging.disable_default_handler)()
    optuna.logging.set_verbosity(optuna.logging.INFO)
    own = logging.NullHandler()
    logging.getLogger("optuna").addHandler(own)
    logging.captureWarnings(captured)
    try:
        before = _state()
        with logging_to(tmp_path / "run.log"):
            optuna.logging.set_verbosity(optuna.logging.WARNING)
            assert _state() != before
        assert _state() == before
    finally:
        logging.captureWarnings(False)
        logging.getLogger("optuna").removeHandler(own)
        optuna.logging.enable_default_handler()


def _state() -> list[object]:
    loggers = [logging.getLogger(name) for name in ("study", "py.warnings", "optuna")]
    return [warnings.showwarning, *((logger.level, list(logger.handlers)) for logger in loggers)]
