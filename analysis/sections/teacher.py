"""How good the teacher is: the probe's fit, and its recall class by class beside the students'."""

import pandas as pd

from analysis.page.document import Block, Note, Paragraph, Section
from analysis.page.writer import Writer
from analysis.reading.study_data import Study
from analysis.reading.wording import MISSING, percent
from analysis.results.class_gains import group_of, mean_recalls
from analysis.results.ladder import BEST, TEACHER, claims_by_cut, scores, unit_values
from analysis.stats.paired_tests import spread

_SHOWN = (TEACHER, "la", BEST)

#: A probe this much better on its training images than on D_val gives nearly hard targets.
_MEMORISED = 0.15


def teacher_section(study: Study, writer: Writer) -> Section:
    """Return the teacher's accuracies, warnings where it is weak or memorised, and the per-class table."""
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
                f"The teacher fits its training images far better than new ones ({percent(fit)} against "
                f"{percent(val)} %): its targets on them are close to hard labels and carry little about the other "
                "classes."
            )
        )
    table = scores(study)
    means = {name: spread(unit_values(table, name)) for name in _SHOWN}
    if means[TEACHER].n and means["la"].n and means[TEACHER].mean < means["la"].mean:
        blocks.append(
            Note(
                f"The teacher is worse than la on test ({percent(means[TEACHER].mean)} against "
                f"{percent(means['la'].mean)} %)."
            )
        )
    blocks.append(_class_table(study, writer))
    return Section("teacher", "The teacher", tuple(blocks))


def _class_table(study: Study, writer: Writer) -> Block:
    data, teacher = study.manifest["data"], study.manifest["teacher"]
    recalls = mean_recalls(study, entries=_SHOWN).set_index(["entry", "class_id"])["recall"]
    val, prior = teacher.get("val_recall") or [], teacher.get("prior") or []
    raw = pd.DataFrame(
        {
            "class_id": range(len(data["classes"])),
            "class_name": data["classes"],
            "n_train": data["n_train"],
            "group": [group_of(study, class_id) for class_id in range(len(data["classes"]))],
            "teacher_prior": _column(prior, len(data["classes"])),
            "teacher_val_recall": _column(val, len(data["classes"])),
            **{
                f"{name}_test_recall": [recalls.get((name, i), float("nan")) for i in range(len(data["classes"]))]
                for name in _SHOWN
            },
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
            "Recall per class. The prior is the mean probability the teacher gives a class on balanced validation "
            f"data; {'test recalls are means over cuts' if claims_by_cut(study) else 'students are means over seeds'}."
        ),
    )


def _column(values: list[float], n: int) -> list[float]:
    return values if len(values) == n else [float("nan")] * n
