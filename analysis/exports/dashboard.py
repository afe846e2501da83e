"""The report's findings and figures where optuna-dashboard shows them: a note, attributes and artifacts in study.db."""

from pathlib import Path

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact

from analysis.exports.summary import needing, results
from analysis.reading.study_data import Study, StudyFolderError
from analysis.results.findings import find
from analysis.search.importance import importances
from study.records.notes import AnnotationError, annotate
from study.schema import REPORT
from study.strategy.optuna_private import study_id

#: Where the figures lie, for `optuna-dashboard --artifact-dir`.
ARTIFACTS = "artifacts"

_PREFIX = "report/"
_LEADING_TRIALS = 3


def write_dashboard(study: Study, out: Path) -> Path:
    """Write the note, the attributes and the report's figures; return the folder of the artifacts.

    The attributes begin with 'report/'. A second export replaces the first: the note, the attributes, and the figures
    of the same names.

    Raises:
        StudyFolderError: optuna-dashboard is not installed, or study.db cannot be written to.
    """
    with needing("optuna-dashboard"):
        from optuna_dashboard import save_note
    store_at = out / ARTIFACTS
    store_at.mkdir(parents=True, exist_ok=True)
    note, numbers = _note(study), results(study)
    figures = sorted((study.folder / REPORT / "figures").glob("*.png"))

    def write(opened: optuna.Study) -> None:
        pictures = _upload(opened, figures, store_at)
        save_note(opened, f"{note}\n{pictures}" if pictures else note)
        for name, value in numbers.items():
            opened.set_user_attr(f"{_PREFIX}{name}", value)

    try:
        annotate(study.folder, write)
    except AnnotationError as error:
        raise StudyFolderError(f"the dashboard's notes cannot be written: {error}") from error
    return store_at


def _note(study: Study) -> str:
    found = find(study, importances(study))
    lines = [f"# {_escaped(found.headline)}", ""]
    lines += [f"> {_escaped(warning)}\n" for warning in found.warnings]
    lines += [f"- {_escaped(sentence)}" for sentence in found.sentences]
    ranked = sorted(study.complete, key=lambda trial: -(trial.value or 0.0))[:_LEADING_TRIALS]
    if ranked:
        told = ", ".join(f"trial {trial.number} ({100 * (trial.value or 0.0):.1f} %)" for trial in ranked)
        lines += ["", f"Highest single values on validation: {told}. The best of many is a lucky one."]
    lines += ["", "The whole report is report/index.html in the study folder."]
    return "\n".join(lines) + "\n"


def _upload(opened: optuna.Study, figures: list[Path], store_at: Path) -> str:
    """Put each figure into the store, under its old identity where it has one, and return Markdown that shows them."""
    store = FileSystemArtifactStore(store_at)
    known = {meta.filename: meta.artifact_id for meta in get_all_artifact_meta(opened)}
    shown = []
    for figure in figures:
        if figure.name in known:
            with figure.open("rb") as content:
                store.write(known[figure.name], content)
            identity = known[figure.name]
        else:
            identity = upload_artifact(study_or_trial=opened, file_path=str(figure), artifact_store=store)
        shown.append(f"![{figure.stem}](/artifacts/{study_id(opened)}/{identity})")
    return "\n\n".join(shown)


def _escaped(text: str) -> str:
    """Text that Markdown shows as it stands."""
    for letter in "\\`*_{}[]<>#|~&":
        text = text.replace(letter, f"\\{letter}")
    return " ".join(text.split())
