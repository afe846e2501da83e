"""`python -m study.replay DIR TRIAL`: train one trial of a study again from its row and compare every epoch.

TRIAL is a number, or for a tuned baseline its name and a number, e.g. kd-3. On the same type of machine, with the same
versions and number of threads, losses and counts are the same to the last bit.
"""

from study.terminal.signals import command_of, end_process

if __name__ == "__main__":  # before the imports
    end_process(command_of("study.replay"))

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from study.entry.continuation import report_faults
from study.entry.installation import refuse_shadows
from study.entry.method_choice import enter_recorded
from study.terminal.command_line import command_line, given_path
from study.terminal.home import needing_no_home
from study.terminal.output import outliving_its_reader
from study.terminal.progress import Progress
from trainables.cckd.errors import UsageError


@outliving_its_reader()
@needing_no_home()
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit code 0 where the replay agrees, 1 where it differs, 2 for wrong usage."""
    parser = argparse.ArgumentParser(
        prog=command_line("replay"),
        description="Train one trial again from its row and compare with what was recorded.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", metavar="DIR", type=given_path, help="study folder")
    parser.add_argument(
        "trial", metavar="TRIAL", help="trial number, as in trials.csv; for a tuned baseline its name too, e.g. kd-3"
    )
    args = parser.parse_args(argv)
    from study.lock import check_free

    try:
        refuse_shadows(workers=True)
        check_free(args.folder)
        enter_recorded(args.folder)
        return _replay(args.folder, args.trial)
    except UsageError as error:
        return report_faults(error.faults)


def _replay(folder: Path, trial: str) -> int:
    from study.planning.manifest import checked_again
    from study.planning.plan import LOCAL
    from study.records.ledger import Ledger
    from study.records.store import StudyStore
    from trainables.cckd.config import TrialConfig

    store = StudyStore.open(folder)
    with store.lock():
        checked = checked_again(store.path, store.manifest())
        ledger = Ledger.open(store.database)
        baselines = {f"{name}-": own for name, own in ledger.baselines.items()}
        rows = {f"{of}{row.number}": row for of, own in ({"": ledger} | baselines).items() for row in own.rows()}
        ledger.close()
        if trial not in rows or not rows[trial].records:
            trained = ", ".join(name for name, row in rows.items() if row.records) or "none"
            raise UsageError(f"TRIAL must be a trial with recorded epochs ({trained}); got {trial}")
        # These cost seconds of imports, which a refusal need not pay.
        from study.execution.workers import ray_session, threads_of
        from study.teacher.bundle import prepare
        from study.teacher.small_images import claim_store, stored_images

        # On this machine, whatever the folder's plan says: a replay is one trial in this process.
        row, plan = rows[trial], replace(checked.plan, address=LOCAL)
        baseline = baselines.get(trial.removesuffix(str(row.number)))
        space = (baseline or checked).space
        fixed = {} if baseline else plan.fixed_knobs
        flat = {**space.config(row.params), **fixed, **plan.training_in(space), "seed": row.seed}
        progress = Progress()
        with claim_store(checked):  # the trainer reads from the store to its last epoch
            with ray_session(plan) as workers:
                checked = stored_images(checked, progress)
                prepared = prepare(checked, workers, progress)
                prepared.verification.wait()

            from trainables.cckd.training.trainer import Trainer

            trainer = Trainer(
                TrialConfig.build(flat),
                prepared.data,
                device=plan.device,
                precision=plan.precision,
                threads=threads_of(plan),
            )
            differing = _differing(trainer, row.records, progress)
    if differing:
        print(f"trial {trial} differs from its record at epochs {', '.join(map(str, differing))}")
        return 1
    print(f"trial {trial}: {len(row.records)} epochs trained again, losses and counts equal to the last bit")
    return 0


def _differing(trainer: Any, records: Sequence[Any], progress: Progress) -> list[int]:
    """Train the recorded epochs again; return those that differ."""
    differing = []
    progress.begin("replay", len(records))
    for recorded in records:
        if _outcome(trainer.run_epoch()) != _outcome(recorded):
            differing.append(recorded.epoch)
        progress.update(recorded.epoch)
    progress.end()
    return differing


def _outcome(record: Any) -> tuple[Any, ...]:
    return record.losses, record.lr, record.val
