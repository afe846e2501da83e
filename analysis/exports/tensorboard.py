"""A study as TensorBoard event files: a folder a trial with its epochs, its knobs and last value as hyperparameters."""

import shutil
from pathlib import Path

from analysis.exports.summary import course, needing, results
from analysis.reading.study_data import Study
from study.schema import METRIC


def write_tensorboard(study: Study, out: Path) -> Path:
    """Write `out`/tensorboard, a run a trial and one for the study; return it (`tensorboard --logdir ...`).

    Raises:
        StudyFolderError: tensorboardX is not installed (Ray Tune brings it).
    """
    with needing("tensorboardX"):
        from tensorboardX import SummaryWriter
    place = out / "tensorboard"
    shutil.rmtree(place, ignore_errors=True)
    table = study.epochs
    for trial in study.trials:
        with SummaryWriter(str(place / f"trial-{trial.number:04d}")) as writer:
            for epoch, numbers in course(table, trial.number):
                for name, value in numbers.items():
                    writer.add_scalar(name, value, epoch)
            if trial.value is not None:
                # A folder of its own: a second writer in the first one's would write over its file.
                writer.add_hparams(dict(trial.params), {f"{METRIC}_last": trial.value}, name="knobs")
    with SummaryWriter(str(place / "study")) as writer:
        for name, value in results(study).items():
            writer.add_scalar(name, value, 0)
    return place
