"""Does streaming keep up with the bare decoder, and within how much memory?

    python -m benchmarks.streaming --images 20000 --workers 2

Makes a folder of JPEGs in a temporary directory, then measures in images a second: worker processes that only decode
files (torchvision, handed out in the same chunks), the same with crop and resize, and an epoch of `StreamedImages`,
each with equally many workers and nothing else to do. Then one trial streams an epoch, in a process of its own, and
the peak of its memory and of its workers' (proportional set size, shared pages counted once) is reported.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import torch
from torchvision.io import encode_jpeg, write_file

from trainables.cckd.bundle import TeacherState, TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.crops import draw_crops
from trainables.cckd.data.decode import read_image, read_views
from trainables.cckd.data.files import ImageFiles
from trainables.cckd.data.stream import CHUNK
from trainables.cckd.streamed import StreamedImages
from trainables.cckd.trainer import Trainer

N_CLASSES = 10
N_FEATURES = 1280
BATCH_SIZE = 64


def main() -> None:
    """Run every measurement and print them as one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=120)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--size", type=int, default=64, help="side of the student's input (default: %(default)s)")
    parser.add_argument("--student", default="resnet8_cifar")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = _write_images(Path(folder), asked.images, asked.height, asked.width)
        views = draw_crops(files.sizes, asked.views, flip=True, seed=0)
        measured = {"images": asked.images, "size": asked.size, "workers": asked.workers}
        measured |= _throughput(files, views, asked.size, asked.workers, asked.repeats)
        measured |= _trial_memory(_trial_data(files, views, asked.size), asked.student, asked.workers)
    print(json.dumps(measured, indent=1))


def _write_images(root: Path, n_images: int, height: int, width: int) -> ImageFiles:
    rng = np.random.default_rng(0)
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    paths = []
    for number in range(n_images):
        slopes = rng.uniform(-128, 128, (3, 2, 1, 1))
        pixels = 128 + slopes[:, 0] * (down - 0.5) + slopes[:, 1] * (across - 0.5)
        pixels += rng.normal(0, 20, (height, width))
        paths.append(f"{number}.jpg")
        jpeg = encode_jpeg(torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), quality=90)
        write_file(str(root / paths[-1]), jpeg)
    listed = ImageFiles.listed(root, paths, np.arange(n_images) % N_CLASSES)
    return replace(listed, sizes=np.tile(np.array([[height, width]], np.int32), (n_images, 1)))


def _throughput(files: ImageFiles, views: np.ndarray, size: int, workers: int, repeats: int) -> dict[str, float]:
    """Images a second of each way, the median of interleaved repeats; and what streaming reaches of the others."""
    order = np.random.default_rng(1).permutation(len(files))
    members = order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
    chunks = [row[start : start + CHUNK] for row in members for start in range(0, BATCH_SIZE, CHUNK)]
    images = StreamedImages(
        files,
        size=size,
        batch_size=BATCH_SIZE,
        pixel_mean=np.full(3, 0.5),
        pixel_std=np.full(3, 0.25),
        device=torch.device("cpu"),
        workers=workers,
    )
    pool = multiprocessing.get_context("fork").Pool(workers, _adopt, (files, views[:, 0], size))

    def stream() -> None:
        for _ in images.steps(members, views[members, 0]):
            pass

    ways: dict[str, Callable[[], object]] = {
        "decode": lambda: sum(pool.imap(_decode, chunks)),
        "decode_and_crop": lambda: sum(pool.imap(_decode_and_crop, chunks)),
        "stream": stream,
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for repeat in range(repeats + 1):  # the first one warms up
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            if repeat:
                rates[name].append(members.size / (time.perf_counter() - started))
    pool.terminate()
    found: dict[str, float] = {f"{name}_per_s": round(median(values)) for name, values in rates.items()}
    for name in ("decode", "decode_and_crop"):
        ratios = [mine / theirs for mine, theirs in zip(rates["stream"], rates[name], strict=True)]
        found[f"stream_of_{name}"] = round(median(ratios), 3)
    return found


#: What a worker of the bare decoder works on: the files, a view of each, the views' size.
_adopted: tuple[ImageFiles, np.ndarray, int]


def _adopt(files: ImageFiles, views: np.ndarray, size: int) -> None:
    global _adopted
    torch.set_num_threads(1)
    _adopted = (files, views, size)


def _decode(chunk: np.ndarray) -> int:
    for index in chunk.tolist():
        read_image(_adopted[0], index)
    return len(chunk)


def _decode_and_crop(chunk: np.ndarray) -> int:
    files, views, size = _adopted
    return len(read_views(files, chunk, views[chunk], size))


def _trial_data(files: ImageFiles, views: np.ndarray, size: int) -> TrialData:
    rng = np.random.default_rng(2)
    held = files.take(np.arange(min(1000, len(files))))
    n_views = views.shape[1]
    return TrialData(
        name="jpegs",
        class_names=tuple(map(str, range(N_CLASSES))),
        train_images=files,
        train_labels=files.labels,
        val_images=held,
        val_labels=held.labels,
        views=views,
        teacher_logits=rng.standard_normal((len(files), n_views, N_CLASSES)).astype(np.float16),
        teacher_features=np.ones((len(files), n_views, N_FEATURES), np.float16),
        teacher_log_prior=np.full(N_CLASSES, -np.log(N_CLASSES)),
        pixel_mean=np.full(3, 0.5),
        pixel_std=np.full(3, 0.25),
        teacher=TeacherState(
            name="none",
            size=size,
            weight=np.zeros((N_CLASSES, N_FEATURES), np.float32),
            bias=np.zeros(N_CLASSES, np.float32),
            feature_mean=np.zeros(N_FEATURES, np.float32),
            feature_std=np.ones(N_FEATURES, np.float32),
        ),
        size=size,
    )


def _trial_memory(data: TrialData, student: str, workers: int) -> dict[str, float]:
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
            everyone = [own, *(child.pid for child in multiprocessing.active_children())]
            peak[0] = max(peak[0], sum(_proportional_bytes(pid) for pid in everyone))

    watcher = Thread(target=watch)
    watcher.start()
    config = TrialConfig.build(
        {"method": "acckd", "student": student, "epochs": 1, "batch_size": BATCH_SIZE, "mix_op": "cutmix"}
    )
    (record,) = list(Trainer(config, data, threads=1, decoders=workers))
    finished.set()
    watcher.join()
    sender.send({"trial_epoch_s": round(record.train_s, 1), "trial_peak_gb": round(peak[0] / 1e9, 2)})


def _proportional_bytes(pid: int | None) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


if __name__ == "__main__":
    main()
