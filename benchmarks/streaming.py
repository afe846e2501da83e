"""Does streaming keep up with the bare decoder, and a student busy: from the originals, and from the image store?

    python -m benchmarks.streaming --images 2048 --workers 2     (minutes)

Originals are JPEGs of the size that ImageNet's mostly have; the image store is built of them. An epoch of
`ViewStream`, which carries every batch of bytes to the trainer's process, stands against the bare decoder of the same
files (bare_decoder.py). Decoding alone, without crop and resize, is shown beside it and has no goal.

Then a student that takes 2 ms per image sleeps through the same epoch, as one on a GPU would leave the cores alone.
What counts is the share of the epoch for which it is busy. All ways take turns, originals and store, so that what else
the machine does meets all of them alike.

What the store saves is told by the processor time of all processes in an epoch, which other programs disturb least.

Last, one trial streams an epoch of originals, in a process of its own. What counts is the peak of its memory and of its
workers' (proportional set size, shared pages counted once). `benchmarks.goals` has the goals. JPEGs are made in a
temporary directory; the numbers are kept in benchmarks/results/streaming-<hardware>-<date>.json.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torchvision.io import encode_jpeg

from benchmarks.bare_decoder import BareDecoder
from benchmarks.goals import Row, table
from benchmarks.record import RESULTS, write_results
from benchmarks.streamed_trial import BATCH_SIZE, trial_data, trial_memory
from benchmarks.timing import Ratio, Seconds, family_seconds, take_turns
from trainables.cckd.data.images.crops import draw_crops
from trainables.cckd.data.images.decoders import CHUNK
from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.scan import scan
from trainables.cckd.data.images.view_stream import ViewStream
from trainables.cckd.data.store.image_store import FOLDER, ImageStore
from trainables.cckd.training.allocator import keep_freed_memory

N_CLASSES = 10

#: Seconds of a student on an image, forward and backward.
STUDENT_S = 0.002

#: Side of the input of the trial whose memory is measured, pixels; at 224 its own activations would hide the rest.
_TRIAL_SIZE = 64

#: Where images come from.
ORIGINALS, STORE = "originals", "image store"


def main(argv: Sequence[str] | None = None) -> int:
    """Run every measurement, print the table, write the JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2048)
    parser.add_argument("--height", type=int, default=375)
    parser.add_argument("--width", type=int, default=500)
    parser.add_argument("--size", type=int, default=224, help="side of the student's input (default: %(default)s)")
    parser.add_argument("--store", type=int, default=256, help="shorter side in the store (default: %(default)s)")
    parser.add_argument("--student", default="resnet8_cifar")
    parser.add_argument("--views", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--turns", type=int, default=7, help="of each way, one after the other (default: %(default)s)")
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
        seconds, work = _take_turns(sources, asked.size, asked.workers, asked.turns)
        print("memory of a trial ...", flush=True)
        views = draw_crops(files.sizes, asked.views, flip=True, seed=0)
        trial = trial_memory(trial_data(files, views, _TRIAL_SIZE), asked.student, asked.workers)
    n_seen = len(files) // BATCH_SIZE * BATCH_SIZE
    found = rows(seconds, work, n_seen, trial["peak_gb"])
    print(table(found))
    rates = {way: round(n_seen / median(of_way)) for way, of_way in seconds.items()}
    print("images a second, median: " + ", ".join(f"{way} {rate:,}" for way, rate in rates.items()))
    print(f"the store took {1000 * built['s_per_image']:.1f} ms and {built['bytes_per_image'] / 1000:.0f} KB per image")
    raw = {"asked": vars(asked), "images_per_s": rates, "seconds": seconds, "processor_s": work}
    raw |= {"store": built, "trial": trial}
    path = write_results(RESULTS, found, raw, load_before=load_before, what="streaming")
    print(f"raw numbers: {path}")
    return 0


def rows(seconds: Seconds, work: Seconds, n_seen: int, peak_gb: float) -> list[Row]:
    """Throughput against the bare decoder and the share of an epoch that a student works, before and after; memory.

    Args:
        seconds: wall seconds of each way, turn by turn.
        work: processor seconds of all processes, likewise.
        n_seen: images of an epoch.
        peak_gb: of a trial.
    """
    found, student_s = [], STUDENT_S * n_seen
    for source in (ORIGINALS, STORE):
        bare, stream, fed = (f"{way}, {source}" for way in ("bare", "stream", "fed"))
        wall, busy = Ratio.of(seconds[bare], seconds[stream]), Ratio.of([student_s] * len(seconds[fed]), seconds[fed])
        found += [
            Row(f"{source}: streamed / bare decoder, images a second", wall),
            Row(f"{source}: a student of 2 ms per image is busy, share of an epoch", busy),
        ]
    before, after = (work[f"stream, {source}"] for source in (ORIGINALS, STORE))
    found.append(Row("originals / image store, processor time of streaming", Ratio.of(before, after)))
    found.append(Row("peak memory of a trial and its workers, GB", Ratio.single(peak_gb)))
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


def _take_turns(sources: dict[str, ImageFiles], size: int, workers: int, turns: int) -> tuple[Seconds, Seconds]:
    """Wall and processor seconds of an epoch of one view an image, each way and each source, turn by turn."""
    work: Seconds = {}

    def noting(name: str, run: Callable[[], object]) -> None:
        before = family_seconds()
        run()
        work.setdefault(name, []).append(family_seconds() - before)

    with ExitStack() as stack:
        contenders: dict[str, Callable[[], object]] = {}
        for source, files in sources.items():
            views = draw_crops(files.sizes, 1, flip=True, seed=0)[:, 0]
            bare = stack.enter_context(BareDecoder(files, views, size, workers))
            for way, run in _ways(files, views, size, workers, bare).items():
                contenders[f"{way}, {source}"] = partial(noting, f"{way}, {source}", run)
        seconds = take_turns(contenders, turns, warm_up=1, clock=time.perf_counter)
    return seconds, {name: spent[1:] for name, spent in work.items()}


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


if __name__ == "__main__":
    raise SystemExit(main())
