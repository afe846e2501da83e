"""A study as TensorBoard event files: one folder per trial, with its epochs, knobs and last value."""

import shutil
from pathlib import Path

from analysis.exports.summary import epochs_of, results
from analysis.reading.study_data import StudyData
from study.schema import METRIC


def write_tensorboard(study: StudyData, out: Path) -> Path:
    """Write `out`/tensorboard, one run per trial and one for the study; return this folder (for `--logdir`)."""
    from tensorboardX import SummaryWriter

    place = out / "tensorboard"
    shutil.rmtree(place, ignore_errors=True)
    table = study.epochs
    for trial in study.trials:
        with SummaryWriter(str(place / f"trial-{trial.number:04d}")) as writer:
            for epoch, numbers in epochs_of(table, trial.number):
                for name, value in numbers.items():
                    writer.add_scalar(name, value, epoch)
            if trial.value is not None:
                # In a folder of its own: a second writer in the same folder would overwrite the first one's file.
                writer.add_hparams(dict(trial.params), {f"{METRIC}_last": trial.value}, name="knobs")
    with SummaryWriter(str(place / "study")) as writer:
        for name, value in results(study).items():
            writer.add_scalar(name, value, 0)
    return place
