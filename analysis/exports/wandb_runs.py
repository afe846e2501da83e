"""A study as Weights & Biases runs, written offline; `wandb sync` uploads them when the user wants that."""

from pathlib import Path

from analysis.exports.summary import about, about_trial, epochs_of, results
from analysis.reading.study_data import StudyData
from study.schema import METRIC


def write_wandb(study: StudyData, out: Path) -> Path:
    """Write `out`/wandb, one offline run per trial and one for the study; nothing leaves the machine."""
    import wandb

    name, table = str(study.manifest["name"]), study.epochs
    quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
    common = {"project": "cckd-study", "group": name, "dir": str(out), "mode": "offline", "settings": quiet}
    for trial in study.trials:
        config = {**trial.params, **about_trial(trial)}
        with wandb.init(name=f"{name} trial {trial.number}", job_type="trial", config=config, **common) as run:
            for epoch, numbers in epochs_of(table, trial.number):
                run.log(numbers, step=epoch)
            if trial.value is not None:
                run.summary[f"{METRIC}_last"] = trial.value
    with wandb.init(name=name, job_type="study", config=about(study), **common) as run:
        run.summary.update(results(study))
    return out / "wandb"
