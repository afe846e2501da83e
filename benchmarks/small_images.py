"""What do encodings of small images keep of their pixels, and what do they cost?

    python -m benchmarks.small_images      (half a minute)

scikit-learn's two photographs (640 x 427) are shrunk to a shorter side of 256 pixels, as for an image store, and
encoded in several ways. Printed are bytes, the peak signal-to-noise ratio against the small pixels (least of both
photographs, dB), and the processor time that the decoder of views takes.
"""

import io
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images

from benchmarks.timing import take_turns
from trainables.cckd.data.images.decode import decoded
from trainables.cckd.data.store.small_image import shrunk, small_sizes
from trainables.cckd.data.store.store_choice import SHORTER_SIDE

#: Name -> how Pillow writes it.
ENCODINGS: Mapping[str, Mapping[str, object]] = {
    **{
        f"JPEG {quality}, {name}": {"format": "JPEG", "quality": quality, "subsampling": subsampling}
        for quality in (90, 95, 98)
        for name, subsampling in (("4:4:4", 0), ("4:2:0", 2))
    },
    "WebP without loss": {"format": "WEBP", "lossless": True},
    "PNG": {"format": "PNG"},
}
TURNS, TIMES = 9, 10


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row per encoding."""
    del argv
    torch.set_num_threads(1)
    images = [small(np.asarray(photograph)) for photograph in load_sample_images().images]
    for name, options in ENCODINGS.items():
        contents = [written(image, options) for image in images]
        kept = min(noise_ratio(decoded(content), image) for content, image in zip(contents, images, strict=True))
        size = sum(map(len, contents)) / len(contents)
        print(f"{name:<18} {size / 1000:>5.0f} KB, {kept:>4.1f} dB, decoded in {decode_ms(contents):.2f} ms")
    return 0


def small(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The pixels of an image as a store has them before they are encoded, uint8 (H, W, 3)."""
    height, width = small_sizes(np.array([pixels.shape[:2]], np.int32), SHORTER_SIDE)[0].tolist()
    return shrunk(pixels, (height, width))


def written(pixels: NDArray[np.uint8], options: Mapping[str, object]) -> bytes:
    """The file of an image."""
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, **options)  # type: ignore[arg-type]
    return content.getvalue()


def noise_ratio(found: NDArray[np.uint8], expected: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio, dB; infinite for equal pixels."""
    error = float(((found.astype(np.float64) - expected) ** 2).mean())
    return 10 * np.log10(255**2 / error) if error else np.inf


def decode_ms(contents: Sequence[bytes]) -> float:
    """Milliseconds of processor time that decoding takes, per file."""
    seconds = take_turns({"decode": lambda: [decoded(one) for one in contents for _ in range(TIMES)]}, TURNS)
    return 1000 * float(np.median(seconds["decode"])) / (TIMES * len(contents))


if __name__ == "__main__":
    raise SystemExit(main())
