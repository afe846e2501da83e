"""The registry of exports: `--to` of analysis.export, its help, and the optional packages derive from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from analysis.exports.dashboard import write_dashboard
from analysis.exports.mlflow_runs import write_mlflow
from analysis.exports.tensorboard import write_tensorboard
from analysis.exports.tidy import write_tidy
from analysis.exports.wandb_runs import write_wandb
from analysis.reading.study_data import StudyData
from analysis.reading.study_folder import StudyFolderError


@dataclass(frozen=True)
class Export:
    """One format to which a study can be exported.

    Attributes:
        function: writes the study into a folder and returns the path to open.
        description: one sentence for the help.
        package: distribution that this export alone needs, empty where the study's own packages suffice.
    """

    function: Callable[[StudyData, Path], Path]
    description: str
    package: str = ""

    def write(self, study: StudyData, out: Path) -> Path:
        """Write the study into the folder `out` and return the path to open.

        Raises:
            StudyFolderError: `package` is not installed, or `function` refuses the study.
        """
        try:
            return self.function(study, out)
        except ImportError as error:
            if not self.package:
                raise
            raise StudyFolderError(
                f"this export needs the package {self.package}: pip install {self.package}"
            ) from error


#: Name on the command line -> the export.
EXPORTS: Mapping[str, Export] = {
    "parquet": Export(write_tidy, "one tidy table, study.parquet, with a data dictionary"),
    "dashboard": Export(
        write_dashboard,
        "notes, attributes and figures for optuna-dashboard; writes into DIR/study.db, and is refused while a driver "
        "runs",
        "optuna-dashboard",
    ),
    "mlflow": Export(write_mlflow, "an MLflow experiment in a local SQLite store", "mlflow"),
    "tensorboard": Export(write_tensorboard, "TensorBoard event files", "tensorboardX"),
    "wandb": Export(write_wandb, "offline Weights & Biases runs", "wandb"),
}
