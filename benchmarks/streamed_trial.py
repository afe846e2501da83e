"""One trial that streams an epoch, in a process of its own, and the peak memory of it and its workers."""

import multiprocessing
from multiprocessing.connection import Connection
from threading import Event, Thread

import numpy as np

from benchmarks.memory import proportional_bytes
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.trainer import Trainer

N_FEATURES = 1280
BATCH_SIZE = 64


def trial_data(files: ImageFiles, views: np.ndarray, size: int) -> TrialData:
    """A bundle of these files, the first thousand as D_val, with invented features of a teacher."""
    rng = np.random.default_rng(2)
    held = files.take(np.arange(min(1000, len(files))))
    n_views, n_classes = views.shape[1], int(files.labels.max()) + 1
    return TrialData(
        name="jpegs",
        class_names=tuple(map(str, range(n_classes))),
        train_images=files,
        train_labels=files.labels,
        val_images=held,
        val_labels=held.labels,
        views=views,
        view_rule=ViewRule(),
        teacher_features=np.ones((len(files), n_views, N_FEATURES), np.float16),
        teacher_log_prior=np.full(n_classes, -np.log(n_classes)),
        pixel_mean=np.full(3, 0.5),
        pixel_std=np.full(3, 0.25),
        teacher=TeacherState(
            name="none",
            size=size,
            weight=rng.standard_normal((n_classes, N_FEATURES), np.float32),
            bias=np.zeros(n_classes, np.float32),
            feature_mean=np.zeros(N_FEATURES, np.float32),
            feature_std=np.ones(N_FEATURES, np.float32),
        ),
        size=size,
    )


def trial_memory(data: TrialData, student: str, workers: int) -> dict[str, float]:
    """Run one epoch of acckd in a process of its own; its seconds and the peak memory of it and its workers."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_run_trial, args=(data, student, workers, sender))
    process.start()
    found: dict[str, float] = receiver.recv()
    process.join()
    return found


def _run_trial(data: TrialData, student: str, workers: int, sender: Connection) -> None:
    finished, peak = Event(), [0]

    def watch() -> None:
        while not finished.wait(1.0):
            own = multiprocessing.current_process().pid
            children = [child.pid for child in multiprocessing.active_children()]
            everyone = [pid for pid in (own, *children) if pid is not None]
            peak[0] = max(peak[0], sum(proportional_bytes(pid) for pid in everyone))

    watcher = Thread(target=watch)
    watcher.start()
    config = TrialConfig.build(
        {"method": "acckd", "student": student, "epochs": 1, "batch_size": BATCH_SIZE, "mix_op": "cutmix"}
    )
    (record,) = list(Trainer(config, data, threads=1, decoders=workers))
    finished.set()
    watcher.join()
    sender.send({"epoch_s": round(record.train_s, 1), "peak_gb": round(peak[0] / 1e9, 2)})
