"""From a file, or from decoded bytes in memory, to the pixels of a view. One code serves both, so both agree.

PNG is decoded by Pillow, because libpng under torchvision ends the process by a signal on most damaged files. JPEG and
WebP are decoded by torchvision, which raises errors there (tests/faults/test_decoder_fuzz.py).

This module imports torch; no module that the driver imports at start-up may import it.
"""

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from trainables.cckd.data.images.decoded_images import ImageSource, RaggedImages
from trainables.cckd.data.images.formats import png
from trainables.cckd.data.images.formats.header import PNG, format_of, read_content
from trainables.cckd.data.images.formats.limits import UnusableImageError
from trainables.cckd.data.images.formats.seal import is_whole
from trainables.cckd.data.images.image_files import StoredFiles
from trainables.cckd.errors import DamagedImageError


def read_views(
    source: ImageSource,
    indices: NDArray[np.int64],
    views: NDArray[np.int16],
    size: int,
    *,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Cut out one view of each image and bring it to `size` x `size` pixels.

    An image that occurs several times in a row is decoded once. The resizing is bilinear, with antialiasing where it
    shrinks, as in torchvision's v2 `resized_crop` on bytes. Numpy copies the pixels and torch mirrors them, which takes
    a tenth of numpy's time for it.

    Args:
        source: where the images are.
        indices: image indices, (n,).
        views: int16 (n, 5), boxes inside the images, columns as in views.COLUMNS.
        size: side of the result, pixels.
        out: uint8 (n, size, size, 3), memory for the pixels; None for new memory.

    Returns:
        uint8 (n, 3, size, size), in memory channels last.

    Raises:
        DamagedImageError: a file that cannot be decoded, or that has another size than when it was scanned.
    """
    pixels = np.empty((len(indices), size, size, 3), np.uint8) if out is None else out
    held: int | None = None
    for row, (index, view) in enumerate(zip(indices.tolist(), views.tolist(), strict=True)):
        top, left, height, width, flip = view
        if index != held:
            image, held = read_image(source, index), index
        box = image[top : top + height, left : left + width]
        assert box.shape == (height, width, 3), f"box {view} leaves an image of {image.shape}"
        # torch has no read-only tensors, but the arrays of Ray's object store are read-only: a copy. Shaped as a batch
        # of one image here, not by torch, it is channels last for torch, and so is what torch makes of it.
        batch = torch.from_numpy(box.copy().reshape(1, height, width, 3)).permute(0, 3, 1, 2)
        resized = interpolate(batch, (size, size), mode="bilinear", antialias=True)
        pixels[row] = (resized.flip(-1) if flip else resized)[0].permute(1, 2, 0).numpy()
    return pixels.transpose(0, 3, 1, 2)


def read_image(source: ImageSource, index: int) -> NDArray[np.uint8]:
    """Return one whole image in colour, uint8 (H, W, 3); EXIF rotation is not applied.

    Raises:
        DamagedImageError: a file that cannot be decoded, or that has another size than when it was scanned.
    """
    if isinstance(source, RaggedImages):
        return source.image(index)
    path = source.root / source.paths[index]
    content = content_of(path)
    sealed = isinstance(source, StoredFiles) and source.is_small(index)
    if sealed and not is_whole(content, path.name):
        raise DamagedImageError(str(path), "is not as the image store wrote it")
    return image_in(content, str(path), tuple(source.sizes[index].tolist()), checked=sealed)


def content_of(path: Path) -> bytes:
    """Return the bytes of an image file.

    Raises:
        DamagedImageError: it cannot be read, or is larger than an image may be.
    """
    try:
        return read_content(path)
    except UnusableImageError as error:
        raise DamagedImageError(str(path), f"cannot be read as an image: {error}") from error


def image_in(content: bytes, path: str, size: tuple[int, ...], *, checked: bool = False) -> NDArray[np.uint8]:
    """Return the image in a file's bytes in colour, uint8 (H, W, 3), of the (H, W) that the scan found.

    `checked` says that the bytes are known to be sound.

    Raises:
        DamagedImageError: the bytes cannot be decoded, or the image has another size; names `path`.
    """
    try:
        kind = format_of(content)
        # Before any decoder takes memory for it. The decoder itself checks the compressed pixels of a PNG.
        found = size if checked else kind.size(content) if kind is PNG else kind.check(content)
        if found == size:
            pixels = decoded(content)
            found = pixels.shape[:2]
    except MemoryError:
        raise
    except UnusableImageError as error:
        raise DamagedImageError(path, f"cannot be read as an image: {error}") from error
    except Exception as error:  # whatever a decoder says of damaged bytes: of ten kinds, some of them undocumented
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DamagedImageError(path, f"cannot be read as an image: {reason}") from error
    if found != size:
        was, now = (f"{height} x {width}" for height, width in (size, found))
        raise DamagedImageError(path, f"was {was} pixels when it was scanned; now {now}")
    return pixels


def decoded(content: bytes) -> NDArray[np.uint8]:
    """Return the image in a file's bytes in colour, uint8 (H, W, 3); raises whatever its decoder raises."""
    return _png(content) if format_of(content) is PNG else _other(content)


def _png(content: bytes) -> NDArray[np.uint8]:
    """Return a PNG in colour: of 16 bits the upper eight, without transparency, grey and palettes as colours."""
    from PIL import Image  # only image files need it

    with Image.open(BytesIO(png.essential(content)), formats=["PNG"]) as image:
        if image.mode.startswith("I"):  # grey of 16 bits, which Pillow would clip
            return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[..., None], 3, axis=2)
        return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _other(content: bytes) -> NDArray[np.uint8]:
    """Return a JPEG or WebP image in colour."""
    pixels: NDArray[np.uint8] = torchvision_decoder()(torch.frombuffer(bytearray(content), dtype=torch.uint8)).numpy()
    return pixels.transpose(1, 2, 0)


def torchvision_decoder() -> Callable[[Tensor], Tensor]:
    """Return torchvision's decoder to colours, of bytes (n,) to uint8 (3, H, W).

    Its import takes seconds; who forks processes that decode asks for it first, so that they share it.
    """
    from torchvision.io import ImageReadMode, decode_image

    return partial(decode_image, mode=ImageReadMode.RGB)
