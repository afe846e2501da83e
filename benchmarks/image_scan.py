"""What does the scan of an image file cost, beside decoding it?

    python -m benchmarks.image_scan      (half a minute)

Files are made in memory: smooth colours under noise. Each is checked whole, as the scan does, then decoded, as a study
does. Reading it from a disk is not counted: both need that. Printed is the processor time of one file.
"""

import io
from collections.abc import Mapping, Sequence
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.timing import take_turns
from trainables.cckd.data.images.decode import decoded
from trainables.cckd.data.images.formats.header import format_of

#: Name -> sides of the image, and how Pillow writes it.
FILES: Mapping[str, tuple[int, int, dict[str, object]]] = {
    "JPEG of 100 KB": (440, 640, {"format": "JPEG", "quality": 92}),
    "PNG of 5 KB": (46, 50, {"format": "PNG"}),
    "PNG of 200 KB": (262, 320, {"format": "PNG"}),
    "WebP of 25 KB": (300, 400, {"format": "WEBP", "quality": 80}),
}
TURNS, TIMES = 9, 20


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row per file."""
    del argv
    torch.set_num_threads(1)
    for name, (height, width, options) in FILES.items():
        content = written(height, width, options)
        check_ms, decode_ms = costs_ms(content)
        print(f"{name:<16} {len(content):>8,} bytes: checked in {check_ms:.3f} ms, decoded in {decode_ms:.3f} ms")
    return 0


def costs_ms(content: bytes) -> tuple[float, float]:
    """Return the median milliseconds to check and to decode a file once."""
    kind = format_of(content)
    ways = {
        "check": lambda: [kind.check(content) for _ in range(TIMES)],
        "decode": lambda: [decoded(content) for _ in range(TIMES)],
    }
    seconds = take_turns(ways, TURNS)
    return 1e3 * median(seconds["check"]) / TIMES, 1e3 * median(seconds["decode"]) / TIMES


def written(height: int, width: int, options: dict[str, object]) -> bytes:
    """Return a file with smooth colours under noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([128 + 80 * np.sin(rows / (40 + 9 * k) + columns / (60 - 7 * k)) for k in range(3)], axis=2)
    pixels = np.clip(waves + rng.normal(0, 9, waves.shape), 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, **options)  # type: ignore[arg-type]
    return content.getvalue()


if __name__ == "__main__":
    main()
