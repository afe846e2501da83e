"""run.log, the log file of a study folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna


class _LogFile(logging.FileHandler):
    """A log file that drops lines on a full disk, where Python would print one traceback per line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Drop the line."""


@contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send our log, Optuna's and all warnings to the file `path` alone; the terminal is for the user."""
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("study", "py.warnings", "optuna")]
    logging.getLogger("study").setLevel(logging.INFO)
    logging.captureWarnings(True)
    optuna.logging.disable_default_handler()
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        optuna.logging.enable_default_handler()
        for logger in loggers:
            logger.removeHandler(handler)
        with suppress(OSError):  # the last lines may not fit on a full disk either
            handler.close()
