"""Does streaming keep up with the bare decoder, and within how much memory?

    python -m benchmarks.streaming --images 20000 --workers 2      (MINUTES)

The bare decoder is what any loader must do for a view, and nothing else: torchvision reads a file, decodes it, and its
v2 transforms cut out the box, resize it and flip it, in as many worker processes, which hand nothing on. Against it
stands an epoch of `StreamedImages`, which also carries every batch to the trainer's process as it needs it. Goal: at
least 0.9 of the bare decoder's images a second. Decoding alone, without crop and resize, is shown beside it and has no
goal: on small images the resize costs half as much as the decoder, and views that are equal on all data paths leave no
room to decode at a smaller size.

Then one trial streams an epoch, in a process of its own; the peak of its memory and of its workers' (proportional set
size, shared pages counted once) must stay below 3 GB. JPEGs are made in a temporary directory; the numbers are kept in
benchmarks/results/streaming-<hardware>-<date>.json.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import torch
from torchvision.io import ImageReadMode, decode_image, encode_jpeg, read_file, write_file
from torchvision.transforms.v2.functional import horizontal_flip, resized_crop

from benchmarks.goals import Goal, Row, table
from benchmarks.memory import proportional_bytes
from benchmarks.record import RESULTS, write_results
from benchmarks.timing import Ratio, Seconds, take_turns
from trainables.cckd.batches.streamed_images import StreamedImages
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decoders import CHUNK
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.allocator import keep_freed_memory
from trainables.cckd.training.trainer import Trainer

N_CLASSES = 10
N_FEATURES = 1280
BATCH_SIZE = 64


def main(argv: Sequence[str] | None = None) -> int:
    """Run every measurement, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--height", type=int, default=120)
    parser.add_argument("--width", type=int, default=160)
    parser.add_argument("--size", type=int, default=64, help="side of the student's input (default: %(default)s)")
    parser.add_argument("--student", default="resnet8_cifar")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=5, help="of each way, one after the other (default: %(default)s)")
    asked = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    torch.set_num_threads(1)
    keep_freed_memory()  # as in every trial; the workers of all ways inherit it
    with tempfile.TemporaryDirectory() as folder:
        print(f"writing {asked.images:,} JPEGs ...", flush=True)
        files = _write_images(Path(folder), asked.images, asked.height, asked.width)
        views = draw_crops(files.sizes, asked.views, flip=True, seed=0)
        print("throughput ...", flush=True)
        seconds = _take_turns(files, views[:, 0], asked.size, asked.workers, asked.turns)
        print("memory of a trial ...", flush=True)
        trial = _trial_memory(_trial_data(files, views, asked.size), asked.student, asked.workers)
    found = rows(seconds, trial["peak_gb"])
    print(table(found))
    n_seen = len(files) // BATCH_SIZE * BATCH_SIZE
    rates = {way: round(n_seen / median(of_way)) for way, of_way in seconds.items()}
    print(f"streamed / decoding alone: {_speed(seconds, 'decode')}")
    print("images a second, median: " + ", ".join(f"{way} {rate:,}" for way, rate in rates.items()))
    raw = {"asked": vars(asked), "images_per_s": rates, "seconds": seconds, "trial": trial}
    path = write_results(RESULTS, found, raw, load_before=load_before, what="streaming")
    print(f"raw numbers: {path}")
    return 0


def rows(seconds: Seconds, peak_gb: float) -> list[Row]:
    """Throughput against the bare decoder, and memory of a trial, each with its goal."""
    return [
        Row("streamed / bare decoder, images a second", Goal("at least", 0.9), _speed(seconds, "bare")),
        Row("peak memory of a trial and its workers, GB", Goal("at most", 3.0), Ratio.single(peak_gb)),
    ]


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


def _speed(seconds: Seconds, of: str) -> Ratio:
    """What streaming reaches of the images a second of another way."""
    return Ratio.of(seconds[of], seconds["stream"])


def _take_turns(files: ImageFiles, views: np.ndarray, size: int, workers: int, turns: int) -> Seconds:
    """Seconds of an epoch of one view an image, each way, turn by turn."""
    order = np.random.default_rng(1).permutation(len(files))
    members = order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
    chunks = [row[start : start + CHUNK] for row in members for start in range(0, BATCH_SIZE, CHUNK)]
    images = StreamedImages(
        files,
        size=size,
        pixel_mean=np.full(3, 0.5),
        pixel_std=np.full(3, 0.25),
        device=torch.device("cpu"),
        workers=workers,
    )

    def stream() -> None:
        for _ in images.blocks(members, views[members], most=1):
            pass

    with multiprocessing.get_context("fork").Pool(workers, _adopt, (files, views, size)) as pool:
        return take_turns(
            {
                "decode": lambda: sum(pool.imap_unordered(_decode, chunks)),
                "bare": lambda: sum(pool.imap_unordered(_decode_and_crop, chunks)),
                "stream": stream,
            },
            turns,
            warm_up=1,
            clock=time.perf_counter,
        )


#: What a worker of the bare decoder works on: the files, a view of each, the views' size.
_adopted: tuple[ImageFiles, np.ndarray, int]


def _adopt(files: ImageFiles, views: np.ndarray, size: int) -> None:
    global _adopted
    _adopted = (files, views, size)


def _decode(chunk: np.ndarray) -> int:
    files, _, _ = _adopted
    for index in chunk.tolist():
        decode_image(read_file(str(files.root / files.paths[index])), ImageReadMode.RGB)
    return len(chunk)


def _decode_and_crop(chunk: np.ndarray) -> int:
    """What a loader written with torchvision alone does; the same pixels as a streamed view's (a test compares)."""
    for index in chunk.tolist():
        bare_view(*_adopted, index)
    return len(chunk)


def bare_view(files: ImageFiles, views: np.ndarray, size: int, index: int) -> torch.Tensor:
    """One view by torchvision's own functions, uint8 (3, size, size)."""
    image = decode_image(read_file(str(files.root / files.paths[index])), ImageReadMode.RGB)
    top, left, height, width, flip = views[index].tolist()
    view: torch.Tensor = resized_crop(image, top, left, height, width, [size, size], antialias=True)
    return horizontal_flip(view) if flip else view


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
        view_rule=ViewRule(),
        teacher_features=np.ones((len(files), n_views, N_FEATURES), np.float16),
        teacher_log_prior=np.full(N_CLASSES, -np.log(N_CLASSES)),
        pixel_mean=np.full(3, 0.5),
        pixel_std=np.full(3, 0.25),
        teacher=TeacherState(
            name="none",
            size=size,
            weight=rng.standard_normal((N_CLASSES, N_FEATURES), np.float32),
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


if __name__ == "__main__":
    raise SystemExit(main())
