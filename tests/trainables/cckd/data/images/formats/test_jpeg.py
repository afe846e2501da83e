"""What the scan says of JPEG files: sound ones pass, however odd, and what a decoder would swallow is named."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.support.damaged_images import as_frame, encoded, frame_at, natural, pixels_at, with_sampling, zeroed
from trainables.cckd.data.images.formats import jpeg
from trainables.cckd.data.images.formats.limits import UnusableImageError


def _saved(pixels: np.ndarray, **options: object) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "JPEG", **options)  # type: ignore[arg-type]
    return content.getvalue()


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 100), st.booleans(), st.booleans(),
    st.sampled_from([0, 1, 2]), st.integers(0, 9), st.sampled_from(["noise", "flat", "gradient", "natural"]),
)  # fmt: skip
def test_whatever_pillow_writes_is_sound(
    height: int, width: int, quality: int, progressive: bool, optimize: bool, subsampling: int, restarts: int, what: str
) -> None:
    rng = np.random.default_rng(height)
    pixels = {
        "noise": rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
        "flat": np.full((height, width, 3), 7, np.uint8),
        "gradient": np.repeat(np.linspace(255, 0, width).astype(np.uint8)[None, :, None], height, 0).repeat(3, 2),
        "natural": natural(height, width),
    }[what]
    content = _saved(
        pixels, quality=quality, progressive=progressive, optimize=optimize, subsampling=subsampling,
        restart_marker_blocks=restarts,
    )  # fmt: skip
    assert jpeg.check(content) == jpeg.size(content) == (height, width)


@pytest.mark.parametrize("optimize", [False, True])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_flat_image_is_sound_even_if_zeros_code_it(optimize: bool, progressive: bool) -> None:
    content = _saved(np.zeros((3000, 3000), np.uint8), optimize=optimize, progressive=progressive)
    assert jpeg.check(content) == (3000, 3000)
    if optimize and not progressive:
        assert bytes(200) in content[pixels_at(content) :], "the example shows what it is for"


@pytest.mark.parametrize("kind", ["jpeg", "optimised jpeg", "grey jpeg", "progressive jpeg", "jpeg of four colours"])
def test_zeros_in_the_middle_are_seen_and_zeros_at_the_end_are_padding(kind: str) -> None:
    content = encoded(kind, 200, 300)
    start = pixels_at(content)
    if kind == "progressive jpeg":  # the third scan: the first is not judged, and zeros end the blocks of the second
        for _ in range(2):
            start += pixels_at(content[start:])
    with pytest.raises(UnusableImageError, match=r"zeros stand where its pixels should be|restart markers|a marker"):
        jpeg.check(zeroed(content, start + 100, start + 612))
    assert jpeg.check(content[:-2] + bytes(600) + content[-2:]) == (200, 300)
    assert jpeg.check(zeroed(content, start + 100, start + 160)) == (200, 300), "too few zeros to be sure"


@pytest.mark.parametrize(
    ("code", "kind"),
    [(0xC3, "lossless"), (0xC5, "hierarchical"), (0xDE, "hierarchical"), (0xC9, "arithmetic"), (0xCF, "arithmetic")],
)
def test_kinds_that_are_not_decoded_are_named(code: int, kind: str) -> None:
    content = as_frame(encoded("jpeg"), code)
    for read in (jpeg.size, jpeg.check):
        with pytest.raises(UnusableImageError, match=kind):
            read(content)


@pytest.mark.parametrize(
    ("factors", "legal"), [(0x11, True), (0x44, True), (0x45, False), (0x01, False), (0x5F, False)]
)
def test_sampling_factors_are_one_to_four(factors: int, legal: bool) -> None:
    content = with_sampling(encoded("grey jpeg"), factors)
    if legal:
        assert jpeg.check(content) == (53, 71)
    else:
        with pytest.raises(UnusableImageError, match="sampling factors"):
            jpeg.check(content)


def test_more_blocks_than_a_unit_holds_are_refused() -> None:
    with pytest.raises(UnusableImageError, match="more than 10 blocks per unit"):
        jpeg.check(with_sampling(encoded("jpeg"), 0x44))


def _frame(content: bytes, **fields: int) -> bytes:
    at, places = frame_at(content), {"bits": 4, "components": 9, "first": 10, "table": 12}
    out = bytearray(content)
    for name, value in fields.items():
        out[at + places[name]] = value
    return bytes(out)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_frame(encoded("jpeg"), bits=12), "12 bits per colour"),
        (_frame(encoded("jpeg"), components=2), "another length"),
        (_frame(encoded("jpeg"), first=2), "sampling factors"),  # a name that stands twice
        (_frame(encoded("jpeg"), first=9), "components that the frame does not have"),
        (_frame(encoded("jpeg"), table=3), "a quantisation table is missing"),
        (b"\xff\xd8\xff\xd9", "states no size"),
        (b"\xff\xd8\xff\xe0\x00\x01", "its header breaks off"),
        (b"\xff\xd8\xff\x05\x00\x02\xff\xd9", "a marker 05"),
        (b"\xff\xd8\xff\xc4\x00\x05\x20\x01\x01\xff\xd9", "Huffman table"),
        (b"\xff\xd8\xff\xdb\x00\x05\x20\x01\x01\xff\xd9", "quantisation table"),
    ],
)
def test_headers_that_none_can_have_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        jpeg.check(content)


def test_a_progressive_image_needs_a_first_scan_of_each_component() -> None:
    content = encoded("progressive jpeg")
    at = frame_at(content)
    # The first scan, of all three components, is made one of a single component.
    scan = content.find(b"\xff\xda", at)
    alone = content[:scan] + b"\xff\xda\x00\x08\x01\x01\x00\x00\x00\x01" + content[pixels_at(content) :]
    with pytest.raises(UnusableImageError, match="a scan is missing"):
        jpeg.check(alone)
