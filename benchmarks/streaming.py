"""Does streaming keep up with the bare decoder, and a student busy: from the originals, and from the image store?

    python -m benchmarks.streaming --images 1024 --workers 2      (MINUTES)

Originals are JPEGs of the size that ImageNet's mostly have; the image store is built of them. An epoch of
`ViewStream`, which carries every batch of bytes to the trainer's process, stands against the bare decoder of the same
files (bare_decoder.py). Goal: at least 0.95 of its images a second. Decoding alone, without crop and resize, is shown
beside it and has no goal.

Then a student that takes 2 ms per image sleeps through the same epoch, as one on a GPU would leave the cores alone.
Goal: it is busy for at least 0.95 of the epoch. All ways take turns, originals and store, so that what else the machine
does meets all of them alike.

Last, one trial streams an epoch of originals, in a process of its own. The peak of its memory and of its workers'
(proportional set size, shared pages counted once) must stay below 3 GB. JPEGs are made in a temporary directory; the
numbers are kept in benchmarks/results/streaming-<hardware>-<date>.json.
"""

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from threading import Event, Thread

import numpy as np
import torch
from torchvision.io import encode_jpeg

from benchmarks.bare_decoder import BareDecoder
from benchmarks.goals import Goal, Row, table
from benchmarks.memory import proportional_bytes
from benchmarks.record import RESULTS, write_results
from benchmarks.timing import Ratio, Seconds, take_turns
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.config import TrialConfig
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decoders import CHUNK
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.images.view_rule import ViewRule
from trainables.cckd.data.images.view_stream import ViewStream
from trainables.cckd.data.store.image_store import FOLDER, ImageStore
from trainables.cckd.teacher.readout import TeacherState
from trainables.cckd.training.allocator import keep_freed_memory
from trainables.cckd.training.trainer import Trainer

N_CLASSES = 10
N_FEATURES = 1280
BATCH_SIZE = 64

#: Seconds of a student on an image, forward and backward.
STUDENT_S = 0.002

#: Side of the input of the trial whose memory is measured, pixels; at 224 its own activations would hide the rest.
_TRIAL_SIZE = 64

#: Where images come from.
ORIGINALS, STORE = "originals", "image store"


def main(argv: Sequence[str] | None = None) -> int:
    """Run every measurement, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=1024)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--size", type=int, default=224, help="side of the student's input (default: %(default)s)")
    parser.add_argument("--store", type=int, default=256, help="shorter side in the store (default: %(default)s)")
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
        files = _write_images(Path(folder) / "originals", asked.images, asked.height, asked.width)
        print("building the store ...", flush=True)
        store = ImageStore(Path(folder) / FOLDER, asked.store)
        started = time.perf_counter()
        n_bytes = sum(store.make(files, row) for row in store.unfinished(files).tolist())
        built = {"s_per_image": (time.perf_counter() - started) / len(files), "bytes_per_image": n_bytes / len(files)}
        print("throughput ...", flush=True)
        sources = {ORIGINALS: files, STORE: store.stored(files)}
        seconds = _take_turns(sources, asked.size, asked.workers, asked.turns)
        print("memory of a trial ...", flush=True)
        views = draw_crops(files.sizes, asked.views, flip=True, seed=0)
        trial = _trial_memory(_trial_data(files, views, _TRIAL_SIZE), asked.student, asked.workers)
    n_seen = len(files) // BATCH_SIZE * BATCH_SIZE
    found = rows(seconds, n_seen, trial["peak_gb"])
    print(table(found))
    rates = {way: round(n_seen / median(of_way)) for way, of_way in seconds.items()}
    print("images a second, median: " + ", ".join(f"{way} {rate:,}" for way, rate in rates.items()))
    print(f"the store took {1000 * built['s_per_image']:.1f} ms and {built['bytes_per_image'] / 1000:.0f} KB per image")
    raw = {"asked": vars(asked), "images_per_s": rates, "seconds": seconds, "store": built, "trial": trial}
    path = write_results(RESULTS, found, raw, load_before=load_before, what="streaming")
    print(f"raw numbers: {path}")
    return 0


def rows(seconds: Seconds, n_seen: int, peak_gb: float) -> list[Row]:
    """Throughput against the bare decoder and the share of an epoch that a student works, before and after; memory."""
    found = []
    for source in (ORIGINALS, STORE):
        bare, stream, fed = (seconds[f"{way}, {source}"] for way in ("bare", "stream", "fed"))
        work = [STUDENT_S * n_seen] * len(fed)
        found.append(
            Row(f"{source}: streamed / bare decoder, images a second", Goal("at least", 0.95), Ratio.of(bare, stream))
        )
        busy = f"{source}: share of an epoch that a student of 2 ms per image is busy"
        found.append(Row(busy, Goal("at least", 0.95), Ratio.of(work, fed)))
    before, after = (seconds[f"stream, {source}"] for source in (ORIGINALS, STORE))
    found.append(
        Row("image store / originals, streamed images a second", Goal("at least", 1.0), Ratio.of(before, after))
    )
    found.append(Row("peak memory of a trial and its workers, GB", Goal("at most", 3.0), Ratio.single(peak_gb)))
    return found


def _write_images(root: Path, n_images: int, height: int, width: int) -> ImageFiles:
    root.mkdir()
    rng = np.random.default_rng(0)
    down, across = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    paths = []
    for number in range(n_images):
        slopes = rng.uniform(-128, 128, (3, 2, 1, 1))
        pixels = 128 + slopes[:, 0] * (down - 0.5) + slopes[:, 1] * (across - 0.5)
        pixels += rng.normal(0, 20, (height, width))
        paths.append(f"{number}.jpg")
        jpeg = encode_jpeg(torch.from_numpy(pixels.clip(0, 255).astype(np.uint8)), quality=90)
        (root / paths[-1]).write_bytes(jpeg.numpy().tobytes())
    return scan({"all": ImageFiles.listed(root, paths, np.arange(n_images) % N_CLASSES)}).sets["all"]


def _take_turns(sources: dict[str, ImageFiles], size: int, workers: int, turns: int) -> Seconds:
    """Seconds of an epoch of one view an image, each way and each source, turn by turn."""
    with ExitStack() as stack:
        contenders: dict[str, Callable[[], object]] = {}
        for name, files in sources.items():
            views = draw_crops(files.sizes, 1, flip=True, seed=0)[:, 0]
            bare = stack.enter_context(BareDecoder(files, views, size, workers))
            contenders |= {f"{way}, {name}": run for way, run in _ways(files, views, size, workers, bare).items()}
        return take_turns(contenders, turns, warm_up=1, clock=time.perf_counter)


def _ways(
    files: ImageFiles, views: np.ndarray, size: int, workers: int, bare: BareDecoder
) -> dict[str, Callable[[], object]]:
    """An epoch of a source: decoded alone, through the bare decoder, streamed, and streamed to a student that works."""
    order = np.random.default_rng(1).permutation(len(files))
    members = order[: len(order) // BATCH_SIZE * BATCH_SIZE].reshape(-1, BATCH_SIZE)
    chunks = [row[start : start + CHUNK] for row in members for start in range(0, BATCH_SIZE, CHUNK)]
    images = ViewStream(files, size, workers)

    def stream(student_s: float) -> None:
        for batch in images.batches(members, views[members]):
            time.sleep(student_s * len(batch))

    return {
        "decode": lambda: bare.decode(chunks),
        "bare": lambda: bare.views(chunks),
        "stream": lambda: stream(0.0),
        "fed": lambda: stream(STUDENT_S),
    }


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
