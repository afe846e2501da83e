"""The setup: the teacher and its quality, and the provenance: data, teacher, budget, machine and versions."""

from collections.abc import Mapping
from math import nan
from typing import Any

import pandas as pd

from analysis.page.document import Block, Code, Note, Paragraph, Section, fold
from analysis.page.latex import latex_tables
from analysis.page.writer import Writer
from analysis.reading.study_data import StudyData
from analysis.reading.wording import MISSING, listing, percent, plural
from analysis.results.accuracies import claims_by_subset, scores
from analysis.results.class_gains import group_of, mean_recalls
from analysis.results.comparisons import unit_values
from analysis.results.entries import BEST, TEACHER
from analysis.search.history import SPREAD
from analysis.stats.paired_tests import spread
from study.schema import OWN_METHOD

_SHOWN = (TEACHER, "la", BEST)

#: Training minus validation accuracy above which a probe gives nearly hard targets (a fraction).
_MEMORISED = 0.15


def provenance_section(study: StudyData, writer: Writer) -> Section:
    """Return the command, and a table of everything that determines the numbers."""
    manifest = study.manifest
    rows = [(name, value) for name, value in _facts(manifest) if value]
    table = writer.table(
        "provenance",
        pd.DataFrame(rows, columns=["what", "value"]),
        columns=("what", "value"),
        rows=rows,
        wordy=True,
        caption="What was run, on which data and on which machine.",
    )
    command = Code("The command", str(manifest.get("command", "")))
    latex = [f"{name}.tex" for name in latex_tables(study)]
    files = Paragraph(
        "Beside this page: report.md; figures/ as PNG and SVG; tables/ as CSV, with the numbers of every figure"
        f"{f', and as LaTeX {listing(latex)}' if latex else ''}."
    )
    return Section(
        "provenance", "Provenance", (command, files, *fold("Data, teacher, budget, machine and versions", [table]))
    )


def _facts(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, plan, teacher = manifest["data"], manifest["plan"], manifest["teacher"] or {}
    student, hardware = manifest.get("student", {}), manifest.get("hardware", {})
    counted = student.get("n_parameters")
    n_parameters = "" if counted is None else f", {counted:,} parameters"
    return [
        ("study", str(manifest["name"])),
        ("status", str(manifest["status"])),
        ("started, ended (UTC)", " to ".join(str(manifest.get(key) or "…") for key in ("started", "ended"))),
        ("data", f"{data['spec']}, image shape {' × '.join(map(str, data.get('image_shape', [])))}"),
        ("found", str(data.get("source", ""))),
        ("images", _counts(data)),
        ("image store", f"shorter side {data['image_store']} pixels" if data.get("image_store") else ""),
        ("split", f"{data.get('split')}; configurations selected on {data.get('selected_on')}"),
        ("data SHA-256", str(data.get("sha256", ""))),
        ("teacher", _teacher_text(teacher) if teacher else "the teacher pass has not finished yet"),
        ("teacher SHA-256", str(teacher.get("sha256", ""))),
        ("student", f"{student.get('name')}{n_parameters}"),
        ("own method", _own_method(manifest.get(OWN_METHOD))),
        ("search", _search(plan)),
        ("warm start", _warm(manifest.get("warm_start"))),
        ("confirmation", _confirmation(plan)),
        ("seed", str(plan.get("seed", ""))),
        ("device", _device(manifest, plan)),
        ("hardware", ", ".join(f"{key} {value}" for key, value in hardware.items() if value)),
        ("cckd-study", str(manifest.get("toolkit") or "")),
        ("versions", ", ".join(f"{key} {value}" for key, value in manifest.get("versions", {}).items())),
        ("git commit", str(manifest.get("git_commit") or "")),
    ]


def _own_method(own: Mapping[str, Any] | None) -> str:
    return f"{own['name']} ({own['method']}, SHA-256 {own['sha256']}): {own['text']}" if own else ""


def _counts(data: Mapping[str, Any]) -> str:
    sizes = [f"{sum(data[f'n_{part}']):,} {part}" for part in ("train", "val", "test") if data.get(f"n_{part}")]
    train = data["n_train"]
    ratio = f"; training images per class {max(train)} to {min(train)}, ratio {max(train) / max(min(train), 1):.0f}"
    return listing(sizes) + ratio


def _teacher_text(teacher: Mapping[str, Any]) -> str:
    parts = [
        f"{teacher['name']} as {teacher['form']}",
        f"input {teacher.get('size')} px",
        *([f"features: {teacher['features']}"] if teacher.get("features", "final") != "final" else []),
        f"{teacher.get('views')} views of each training image",
        *([f"fitted with tau {teacher['tau']:g}"] if teacher.get("tau") not in (None, 1) else []),
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
    second = f", objectives all and {plan['second_objective']}" if plan.get("second_objective") else ""
    guards = plan.get("guards")
    wanted = guards.items() if isinstance(guards, dict) else ()
    guards_text = "".join(f", guard {group}={points}" for group, points in wanted)
    n_points = len(plan.get("points") or ())
    own = f", {plural(n_points, 'point')} of the user's own first" if n_points else ""
    opening = f" ({plan.get('n_sobol')} evenly spread trials first)" if plan.get("n_sobol") else ""
    which = " (all spread evenly)" if plan.get("sampler") in SPREAD else opening
    return (
        f"{plan['trials']} trials of {plan.get('epochs')} epochs, sampler {plan.get('sampler')}{which}{own}, "
        f"pruner {plan.get('pruner')}{rungs}{second}{guards_text}"
    )


def _warm(warm: Any) -> str:
    if not isinstance(warm, dict):
        return ""
    word = ". That they were measured as the trials here is the word of who ran the study" if warm.get("source") else ""
    known = f"the sampler knew {warm.get('trials')} trials of {warm.get('study')}"
    return f"{known}; no table or figure here counts them{word}"


def _confirmation(plan: Mapping[str, Any]) -> str:
    n_subsets = plan.get("data_seeds", 1)
    subsets = f" on each of {n_subsets} subsets of the long tail" if n_subsets > 1 else ""
    names = plan.get("tuned_baselines") or ()
    tuned = f", {', '.join(map(str, names))} tuned at the same budget" if names else ""
    return f"top {plan.get('confirm_top')}{tuned} and the ladder, {plan.get('confirm_seeds')} seeds each{subsets}"


def _device(manifest: Mapping[str, Any], plan: Mapping[str, Any]) -> str:
    n = manifest.get("cpus_per_trial")
    threads = f"{n} CPU" if n == 1 else f"{n} CPUs"
    students = f", students in {plan['precision']}" if plan.get("precision") else ""
    return f"{manifest.get('device')}, {manifest.get('workers')} workers of {threads}{students}"


def teacher_section(study: StudyData, writer: Writer) -> Section:
    """Return the teacher's accuracies, warnings where it is weak or overfitted, and the table by class."""
    teacher = study.manifest["teacher"]
    if teacher is None:
        return Section("teacher", "The teacher", (Paragraph("The teacher pass has not finished yet."),))
    fit, val = teacher.get("train_accuracy"), teacher.get("val_accuracy")
    blocks: list[Block] = [
        Paragraph(
            f"{teacher['name']}, {teacher['form']}, frozen. Training accuracy {percent(fit)} %, validation accuracy "
            f"{percent(val)} %, validation balanced accuracy {percent(teacher.get('val_balanced_accuracy'))} %."
        )
    ]
    if fit is not None and val is not None and fit - val > _MEMORISED:
        blocks.append(
            Note(
                f"The teacher recognises far more of its training images than of new ones: {percent(fit)} against "
                f"{percent(val)} %. So its targets on training images are close to hard labels. They carry little "
                "about the other classes."
            )
        )
    table = scores(study)
    means = {name: spread(unit_values(table, name)) for name in _SHOWN}
    if means[TEACHER].n and means["la"].n and means[TEACHER].mean < means["la"].mean:
        blocks.append(
            Note(
                f"The teacher lies below la on test ({percent(means[TEACHER].mean)} against "
                f"{percent(means['la'].mean)} %)."
            )
        )
    blocks += fold("The teacher and the students by class", [_class_table(study, writer)])
    return Section("teacher", "The teacher", tuple(blocks))


def _class_table(study: StudyData, writer: Writer) -> Block:
    data, teacher = study.manifest["data"], study.manifest["teacher"]
    recalls = mean_recalls(study, entries=_SHOWN).set_index(["entry", "class_id"])["recall"]
    class_ids = range(len(data["classes"]))
    raw = pd.DataFrame(
        {
            "class_id": class_ids,
            "class_name": data["classes"],
            "n_train": data["n_train"],
            "group": [group_of(study, class_id) for class_id in class_ids],
            "teacher_prior": _column(teacher.get("prior"), len(class_ids)),
            "teacher_val_recall": _column(teacher.get("val_recall"), len(class_ids)),
            **{f"{name}_test_recall": [recalls.get((name, i), nan) for i in class_ids] for name in _SHOWN},
        }
    ).sort_values(["n_train", "class_id"], ascending=[False, True])
    tested = [name for name in _SHOWN if raw[f"{name}_test_recall"].notna().any()]
    rows = [
        (
            str(row["class_name"]) or f"class {row['class_id']}",
            str(row["n_train"]),
            str(row["group"]).capitalize() or MISSING,
            percent(row["teacher_prior"]),
            percent(row["teacher_val_recall"]),
            *(percent(row[f"{name}_test_recall"]) for name in tested),
        )
        for row in raw.to_dict("records")
    ]
    heads = ("class", "training images", "group", "teacher prior %", "teacher val %")
    return writer.table(
        "teacher_classes",
        raw,
        columns=(*heads, *(f"{name} test %" for name in tested)),
        rows=rows,
        caption=(
            "Recall per class. The prior is the mean probability that the teacher gives a class on balanced validation "
            f"data. {'Recalls are means over subsets' if claims_by_subset(study) else 'Students are means over seeds'}."
        ),
    )


def _column(values: list[float] | None, n: int) -> list[float]:
    return values if values and len(values) == n else [nan] * n
