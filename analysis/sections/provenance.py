"""What was run, on what, and from which versions: enough to run it again."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from analysis.page.document import Code, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import listing, percent


def provenance_section(study: Study, writer: Writer) -> Section:
    """Return the command and a table of everything that decides the numbers."""
    manifest = study.manifest
    rows = [(name, value) for name, value in _facts(manifest) if value]
    table = writer.table(
        "provenance",
        pd.DataFrame(rows, columns=["what", "value"]),
        columns=("what", "value"),
        rows=rows,
        wordy=True,
        caption="What was run and on what.",
    )
    command = Code("The command", str(manifest.get("command", "")))
    files = Paragraph(
        "Beside this page: report.md; figures/ as PNG and SVG; tables/ as CSV, the numbers of every figure among them"
        f"{', and the ladder as LaTeX (ladder.tex)' if len(study.confirm) else ''}."
    )
    return Section("provenance", "Provenance", (command, table, files))


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, plan, teacher = manifest["data"], manifest["plan"], manifest["teacher"] or {}
    student, hardware = manifest.get("student", {}), manifest.get("hardware", {})
    return [
        ("study", str(manifest["name"])),
        ("status", str(manifest["status"])),
        ("started, ended (UTC)", " to ".join(str(manifest.get(key) or "…") for key in ("started", "ended"))),
        ("data", f"{data['spec']}, image shape {' × '.join(map(str, data.get('image_shape', [])))}"),
        ("found", str(data.get("source", ""))),
        ("images", _counts(data)),
        ("split", f"{data.get('split')}; configurations selected on {data.get('selected_on')}"),
        ("data SHA-256", str(data.get("sha256", ""))),
        ("teacher", _teacher(teacher) if teacher else "the teacher pass has not finished yet"),
        ("teacher SHA-256", str(teacher.get("sha256", ""))),
        ("student", _student(student)),
        ("search", _search(plan)),
        *_warm(manifest),
        ("confirmation", _confirmation(plan)),
        ("seed", str(plan.get("seed", ""))),
        ("device", _device(manifest, plan)),
        ("hardware", ", ".join(f"{key} {value}" for key, value in hardware.items() if value)),
        ("versions", ", ".join(f"{key} {value}" for key, value in manifest.get("versions", {}).items())),
        ("git commit", str(manifest.get("git_commit") or "")),
    ]


def _student(student: Mapping[str, Any]) -> str:
    counted = student.get("n_parameters")
    return str(student.get("name")) if counted is None else f"{student.get('name')}, {counted:,} parameters"


def _counts(data: Mapping[str, Any]) -> str:
    sizes = [f"{sum(data[f'n_{part}']):,} {part}" for part in ("train", "val", "test") if data.get(f"n_{part}")]
    train = data["n_train"]
    ratio = f"; training images a class {max(train)} to {min(train)}, ratio {max(train) / max(min(train), 1):.0f}"
    return listing(sizes) + ratio


def _teacher(teacher: Mapping[str, Any]) -> str:
    parts = [
        f"{teacher['name']} as {teacher['form']}",
        f"input {teacher.get('size')} px",
        f"{teacher.get('views')} views of each training image",
        *([f"L2 strength {teacher['strength']}"] if teacher.get("strength") is not None else []),
        *([f"cosine scale {teacher['scale']:.1f}"] if teacher.get("scale") is not None else []),
        *([f"{teacher['targets']} targets"] if teacher.get("targets") else []),
        *_prior(teacher),
        f"{teacher.get('forward_passes')} images passed",
        f"validation balanced accuracy {percent(teacher.get('val_balanced_accuracy'))} %",
    ]
    return ", ".join(parts)


def _prior(teacher: Mapping[str, Any]) -> list[str]:
    if teacher.get("prior_distance") is None:
        return []
    smoothing = f" smoothed by {teacher['prior_smoothing']:g}" if teacher.get("prior_smoothing") else ""
    return [f"prior {teacher['prior_source']}{smoothing}, total variation {teacher['prior_distance']:.3f} from D_val's"]


def _search(plan: Mapping[str, Any]) -> str:
    rungs = f", rungs at epochs {', '.join(map(str, plan['rungs']))}" if plan.get("rungs") else ""
    return (
        f"{plan['trials']} trials of {plan.get('epochs')} epochs, sampler {plan.get('sampler')} "
        f"({plan.get('n_sobol')} Sobol trials), pruner {plan.get('pruner')}{rungs}{_objectives_and_guards(plan)}"
    )


def _objectives_and_guards(plan: Mapping[str, Any]) -> str:
    second, guards = plan.get("second_objective"), plan.get("guards")
    told = f", objectives all and {second}" if second else ""
    if isinstance(guards, dict):
        told += "".join(f", guard {group}={points}" for group, points in guards.items())
    return told


def _warm(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    warm = manifest.get("warm_start")
    if not isinstance(warm, dict):
        return []
    return [
        ("warm start", f"the sampler knew {warm.get('trials')} trials of {warm.get('study')}; they count nowhere here")
    ]


def _confirmation(plan: Mapping[str, Any]) -> str:
    n_cuts = plan.get("data_seeds", 1)
    cuts = f" on each of {n_cuts} cuts of the long tail" if n_cuts > 1 else ""
    names = plan.get("tuned_baselines") or ()
    tuned = f", {', '.join(map(str, names))} tuned at the same budget" if names else ""
    return f"top {plan.get('confirm_top')}{tuned} and the ladder, {plan.get('confirm_seeds')} seeds each{cuts}"


def _device(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    n = manifest.get("cpus_per_trial")
    threads = f"{n} CPU" if n == 1 else f"{n} CPUs"
    students = f", students in {plan['precision']}" if plan.get("precision") else ""
    return f"{manifest.get('device')}, {manifest.get('workers')} workers of {threads}{students}"
