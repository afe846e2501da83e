"""A study that goes on: what is changed in its plan, what is refused, and the rest of its way to the report."""

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from study.execution.cluster import check_process
from study.phases.ablation import check_knobs
from study.phases.session.begin import check_elsewhere, create_ledger
from study.phases.session.messages import say_lost, say_retried
from study.phases.session.to_report import end_recorded, run_to_report, writing
from study.phases.state.study_in_progress import Analyses
from study.planning.checked import Checked, check_plan
from study.planning.config_file import config_text
from study.planning.manifest import checked_again, now
from study.planning.plan import AUTO, LOCAL, StudyPlan, top_fault
from study.planning.preview.estimate import refuse_long, refuse_short_limit
from study.planning.preview.missing import missing_work
from study.planning.readers import check_device
from study.planning.tail_subsets import with_cuts
from study.records.ledger import Ledger
from study.records.run_log import logging_to
from study.records.search_reader import SearchReader
from study.records.store import StudyStore
from study.schema import (
    CAUTIONS,
    LEFT_OUT,
    PLANNED,
    CautionReason,
    lost_database,
)
from study.terminal.faults import Faults
from trainables.cckd.errors import UsageError


def resume(folder: Path, command: str, analyses: Analyses, unplanned: Mapping[str, Any], **changes: Any) -> int:
    """Continue the study in `folder`; return the exit code.

    Args:
        folder: of the study.
        command: the command line, for the manifest.
        analyses: builds the report, and screens the knobs.
        unplanned: values of fields of its plan that have none there: 0, or nothing.
        changes: new values of fields of its plan (trials, address, device, ...), `retry_failed`, and `yes_long`:
            whether what is missing may take more than a day. Without `yes_long`, only a larger plan is asked about.

    Raises:
        UsageError: this is no study folder, another driver holds its lock, its study.db is lost, its data or teacher
            have changed, its plan and the changes do not go together, it takes long and nobody said that it may, its
            object store cannot be used, or its cluster cannot be joined.
    """
    check_process(changes.get("address", LOCAL))
    store = StudyStore.open(folder)
    with store.lock(), end_recorded(store), logging_to(store.log):
        manifest = store.manifest()
        if wrong := lost_database(store.path, manifest):
            raise UsageError(wrong)
        checked = checked_again(store.path, manifest, skip_corrupt=changes.get("skip_corrupt", False))
        _check_address(checked.plan.address, changes)
        retries, may_be_long = changes.pop("retry_failed", False), changes.pop("yes_long", None)
        former = checked.plan
        checked = replace(checked, plan=_changed(former, unplanned, changes))
        _check_changes(checked, changes)
        _judge_hours(checked, former, store, manifest, changes, may_be_long=may_be_long)
        check_elsewhere(checked)
        checked = _cut_again(checked, manifest)
        with writing(store):
            ledger = _open_ledger(checked, store)
            say_lost(manifest["counts"], ledger.counts())
            try:
                check_knobs(changes.get("ablation_knobs", ()), checked.plan, checked.space, ledger)
                _check_totals(former, checked.plan, ledger)
                _note_start(store, checked, manifest, command)
                if retries:
                    trials = [number for one in (ledger, *ledger.baselines.values()) for number in one.retry_failed()]
                    runs = ledger.runs.retry_failed()
                    say_retried(len(trials), len(runs), len(ledger.causes_of_failure()))
            except BaseException:
                ledger.close()
                raise
        return run_to_report(checked, store, ledger, analyses)


def _changed(plan: StudyPlan, unplanned: Mapping[str, Any], changes: Mapping[str, Any]) -> StudyPlan:
    """Return the plan with the changes, and with values of `unplanned` where it has none."""
    new = {field: value for field, value in unplanned.items() if not getattr(plan, field)} | dict(changes)
    # A baseline that has been tuned, a rung that has been confirmed, and a knob that was put back stay in the plan.
    for field in ("tuned_baselines", "ladder", "ablation_knobs"):
        known = getattr(plan, field)
        new[field] = (*known, *(name for name in changes.get(field, ()) if name not in known))
    if changes.get("device", plan.device) != plan.device:
        new |= {"gpus_per_trial": float(changes["device"] == "cuda"), "trials_per_process": 1}
    return replace(plan, **new)


def _check_changes(checked: Checked, changes: Mapping[str, Any]) -> None:
    """Judge the new plan as a whole.

    Raises:
        UsageError: names every fault.
    """
    faults = Faults()
    check_plan(checked.plan, checked.space, faults)
    check_device(vars(checked.plan), faults)
    if "confirm_top" in changes and (wrong := top_fault("--top", changes["confirm_top"], checked.plan.trials)):
        faults.add(wrong)
    faults.raise_any()


def _cut_again(checked: Checked, manifest: Mapping[str, Any]) -> Checked:
    """Return the study with its cuts of the long tail; of those that are new, it tells which images they share."""
    known = manifest["data"].get("cuts", [])
    lost = checked.data.left_out.keys() - manifest["data"].get(LEFT_OUT, {}).keys()
    checked = with_cuts(checked, [] if lost else known)  # no cut has all the images that it had
    return replace(checked, shared_cuts={k: n for k, n in checked.shared_cuts.items() if k >= len(known)})


def _note_start(store: StudyStore, checked: Checked, manifest: Mapping[str, Any], command: str) -> None:
    """Write the new plan and this start to study.json and study.yaml."""
    cuts, known = manifest["data"].get("cuts", []), manifest.get(CAUTIONS, [])
    new = [one._asdict() for one in checked.cautions if one.reason is CautionReason.SHARED_IMAGES]
    store.update_manifest(
        starts=[*manifest["starts"], {"started": now(), "command": command}],
        plan=checked.plan.to_json(),
        data=manifest["data"] | {"cuts": [*checked.cuts, *cuts[len(checked.cuts) :]]},
        **{PLANNED: checked.plan.planned_runs(checked.space)},
        **({CAUTIONS: [*known, *new]} if new else {}),
    )
    store.write_config(config_text(checked.plan, checked.space))


def _judge_hours(
    checked: Checked,
    former: StudyPlan,
    store: StudyStore,
    manifest: Mapping[str, Any],
    changes: Mapping[str, Any],
    *,
    may_be_long: bool | None,
) -> None:
    """Refuse hours that cannot be kept, and a continuation that the user may not have meant to be so long.

    Nothing is written before. A study that goes on as it was planned is refused for neither.

    Args:
        checked: the study with its new plan.
        former: the plan that the user has accepted.
        store: its folder.
        manifest: its study.json.
        changes: new values of fields of its plan.
        may_be_long: whether the user allows more than a day; None asks only where the former plan asks for less.

    Raises:
        UsageError: what is missing takes more than a day, or selection and confirmation more than the hours asked for.
    """
    asks_long = may_be_long is False or (may_be_long is None and checked.plan != former)
    if not asks_long and "max_hours" not in changes:
        return
    with ExitStack() as at_end:
        search = SearchReader.read(store.database) if store.database.exists() else None
        if search is not None:
            at_end.callback(search.close)
        missing, accepted = (missing_work(plan, checked.space, search, manifest) for plan in (checked.plan, former))
    if "max_hours" in changes:
        refuse_short_limit(checked, missing)
    is_longer = missing.epochs > accepted.epochs or (checked.plan.max_hours or inf) > (former.max_hours or inf)
    if asks_long and (may_be_long is False or is_longer):
        refuse_long(checked, missing)


def _check_address(planned: str, changes: dict[str, Any]) -> None:
    """Refuse a cluster that only the folder names: it may come from a stranger, and a cluster can run any code here."""
    if "address" not in changes and planned not in (LOCAL, AUTO):
        raise UsageError(f"a cluster is not joined on a folder's word; to go on where it ran, give --address {planned}")


def _check_totals(former: StudyPlan, plan: StudyPlan, ledger: Ledger) -> None:
    """Refuse fewer seeds or cuts than a confirmation was begun with: who may stop at any seed may stop at a lucky one.

    Raises:
        UsageError: names every such total.
    """
    totals = {
        "--seeds": (former.confirm_seeds, plan.confirm_seeds),
        "--data-seeds": (former.data_seeds, plan.data_seeds),
    }
    fewer = [
        f"{flag} is a total and must not be below the {begun} that the confirmation was begun with; got {asked}"
        for flag, (begun, asked) in totals.items()
        if asked < begun
    ]
    if fewer and ledger.runs.confirm_keys():
        raise UsageError(fewer)


def _open_ledger(checked: Checked, store: StudyStore) -> Ledger:
    """Open the search with the plan's total of trials; make it if the first driver died before it made study.db."""
    if not store.database.exists():
        return create_ledger(checked, store)
    before = Ledger.open(store.database)
    asked, trials = before.n_asked, checked.plan.trials
    before.close()
    if asked > trials:
        raise UsageError(f"--trials is a total and must not be below the {asked} trials already run; got {trials}")
    return Ledger.open(store.database, trials=trials)
