"""run.log, the log file of a study folder."""

import logging
import warnings
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
    """Send our log, Optuna's and all warnings to the file `path` alone; the terminal is for the user.

    At the end of the block all of them go where the caller, which may be a notebook, had sent them before.
    """
    handler = _LogFile(path)
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
    loggers = [logging.getLogger(name) for name in ("study", "py.warnings", "optuna")]
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    logging.getLogger("study").setLevel(logging.INFO)
    shows = warnings.showwarning
    logging.captureWarnings(True)
    captured_before = warnings.showwarning is shows
    optuna.logging.disable_default_handler()
    for logger in loggers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logging.captureWarnings(captured_before)
        for logger, level, handlers in before:
            logger.setLevel(level)
            logger.handlers[:] = handlers
        with suppress(OSError):  # the last lines may not fit on a full disk either
            handler.close()
