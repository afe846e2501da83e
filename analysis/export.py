"""`python -m analysis.export DIR --to PLACE`: take a study to Parquet, optuna-dashboard, MLflow, TensorBoard or W&B."""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from analysis.exports.dashboard import write_dashboard
from analysis.exports.mlflow_runs import write_mlflow
from analysis.exports.tensorboard import write_tensorboard
from analysis.exports.tidy import write_tidy
from analysis.exports.wandb_runs import write_wandb
from analysis.reading.study_data import ODD_CONTENT, Study, StudyFolderError, load_study
from analysis.reading.wording import printable
from study.schema import EXPORT

#: Place -> what writes it into a folder and returns the path to open.
PLACES: Mapping[str, Callable[[Study, Path], Path]] = {
    "parquet": write_tidy,
    "dashboard": write_dashboard,
    "mlflow": write_mlflow,
    "tensorboard": write_tensorboard,
    "wandb": write_wandb,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return 0, or 2 with one message where the study cannot be exported."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.export",
        description=(
            "Take a study elsewhere. dashboard writes notes and attributes into DIR/study.db, and is refused while a "
            "driver runs; every other place only reads the study."
        ),
        epilog="example: python -m analysis.export runs/NAME --to parquet",
    )
    parser.add_argument("dir", metavar="DIR", type=Path, help="a study folder")
    parser.add_argument("--to", choices=PLACES, required=True, help="where to")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder to write into (DIR/export)")
    options = parser.parse_args(argv)
    try:
        opened = export(options.dir, options.to, out=options.out)
    except StudyFolderError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    print(f"{options.to}: {printable(str(opened))}")
    return 0


def export(folder: Path, to: str, *, out: Path | None = None) -> Path:
    """Export the study in `folder` to one of PLACES, into `out` (`folder`/export), and return what to open.

    Raises:
        StudyFolderError: no readable study, a package that is missing, or a folder that cannot be written to.
    """
    study = load_study(folder)
    place = out or folder / EXPORT
    try:
        place.mkdir(parents=True, exist_ok=True)
        return PLACES[to](study, place).resolve()
    except StudyFolderError:
        raise
    except OSError as error:
        raise StudyFolderError(f"the export cannot be written to {place}: {error.strerror}") from error
    except ODD_CONTENT as error:
        told = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise StudyFolderError(f"{folder} is not as a study writes it; exporting gave {told}") from error


if __name__ == "__main__":
    sys.exit(main())
