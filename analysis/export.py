"""`python -m analysis.export DIR --to FORMAT`: export a study to a format of `analysis.exports.registry`."""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("analysis.export"))

import argparse
from collections.abc import Sequence
from pathlib import Path

from analysis.exports.registry import EXPORTS
from analysis.reading.study_folder import StudyFolderError, load_study, one_error
from study.schema import EXPORT
from study.terminal.command_line import command_line, given_path
from study.terminal.faults import complain, printable
from study.terminal.output import outliving_its_reader


@outliving_its_reader()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with one message where the study cannot be exported."""
    formats = ". ".join(f"{name}: {export.description}" for name, export in EXPORTS.items())
    command = command_line("export", package="analysis")
    parser = argparse.ArgumentParser(
        prog=command,
        description=f"Export a study. An export only reads the study unless its description says more. {formats}.",
        epilog=f"example: {command} runs/NAME --to parquet",
    )
    parser.add_argument("dir", metavar="DIR", type=given_path, help="a study folder")
    parser.add_argument("--to", choices=EXPORTS, required=True, help="the format")
    parser.add_argument("--out", metavar="DIR", type=given_path, help="folder to write into (DIR/export)")
    options = parser.parse_args(argv)
    try:
        opened = export(options.dir, options.to, out=options.out)
    except StudyFolderError as error:
        complain(error.faults)
        return 2
    print(f"{options.to}: {printable(str(opened))}")
    return 0


def export(folder: Path, to: str, *, out: Path | None = None) -> Path:
    """Export the study in `folder` to one of EXPORTS, into `out` (`folder`/export), and return the path to open.

    Raises:
        StudyFolderError: no readable study, a package that is missing, or a folder that cannot be written to.
    """
    study = load_study(folder)
    place = out or folder / EXPORT
    try:
        place.mkdir(parents=True, exist_ok=True)
        with one_error(folder, "exporting"):
            return EXPORTS[to].write(study, place).resolve()
    except OSError as error:
        raise StudyFolderError(f"the export cannot be written to {place}: {error.strerror}") from error
