"""The analysis of a study: a study folder in, a report out. It imports neither Ray nor torch.

    from analysis import load_study

    study = load_study("runs/NAME")
    study.confirm  # a DataFrame; the other tables: study.measured, epochs, finalists, classes, ...

Commands:
    report   python -m analysis.report DIR: the report of one study
    compare  python -m analysis.compare DIR DIR...: studies side by side
    export   python -m analysis.export DIR --to FORMAT: a study in the format of another program

Packages, from the lowest floor; each imports only the ones above it:
    stats     statistics as pure functions
    reading   a study folder as data, numbers as text
    search    the trials of the search: history, health, importances, pairs of knobs
    results   the runs of the confirmation: accuracies, gains, claims, findings
    page      the report as a document, its style and its files
    figures   the figures
    sections  the sections of the report
    exports   the formats of analysis.export

Modules: `study_comparison` (several studies side by side, for the command compare), `settled` (whether a search needs
further trials, for a study that is running).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from analysis.reading.study_data import StudyData


def load_study(folder: "Path | str") -> "StudyData":
    """Read a study folder, running or finished, without changing it.

    Args:
        folder: a folder that `study.run` wrote.

    Returns:
        manifest, search space, trials, and pandas tables. The documentation of `StudyData` and study/schema.py
        describe their columns.

    Raises:
        StudyFolderError: `folder` holds no readable study; the message names every fault.
    """
    # Imported here, so that `import analysis` does not load pandas and Optuna.
    from analysis.reading.study_folder import load_study as load

    return load(folder)
