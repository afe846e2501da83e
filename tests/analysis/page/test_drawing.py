"""A figure's two files show the same: its colours in the PNG, and in the SVG the same strokes at the same places."""

import re
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image, ImageColor

from analysis.page.drawing import save
from analysis.page.style import BLUE, COLOURS, canvas


def _drawn(figure: Figure, folder: Path) -> tuple[np.ndarray, str]:
    save(figure, folder / "figure.png")
    return np.asarray(Image.open(folder / "figure.png").convert("RGB")), (folder / "figure.svg").read_text()


@pytest.mark.parametrize("colour", COLOURS)
def test_a_mark_keeps_its_colour_beside_hundreds_of_others(tmp_path: Path, colour: str) -> None:
    with canvas(4, 4) as (figure, axes):
        axes.pcolormesh(np.random.default_rng(0).random((40, 40)), cmap="viridis")
        axes.plot([20], [20], "*", color=colour, ms=12)
    pixels, _ = _drawn(figure, tmp_path)
    assert (pixels == ImageColor.getrgb(colour)).all(axis=2).sum() > 50


def test_a_figure_of_few_colours_is_exact(tmp_path: Path) -> None:
    with canvas(3, 2) as (figure, axes):
        axes.barh([0, 1], [1, 2], color=BLUE)
    pixels, _ = _drawn(figure, tmp_path)
    whole = np.asarray(figure.canvas.pixels)[:, :, :3]  # type: ignore[attr-defined]
    assert (pixels == whole).all()


def test_a_stroke_stands_at_the_same_place_in_both_files(tmp_path: Path) -> None:
    with canvas(3, 2) as (figure, axes):
        axes.plot([0.2, 0.8], [0.5, 0.5], color="#ff0000", lw=2)
        axes.set(xlim=(0, 1), ylim=(0, 1))
    pixels, svg = _drawn(figure, tmp_path)
    rows, columns = np.nonzero((pixels == (255, 0, 0)).all(axis=2))
    ((left, top, right, bottom),) = re.findall(r'd="M ([\d.]+) ([\d.]+) \nL ([\d.]+) ([\d.]+) \n"[^>]*#ff0000', svg)
    points = np.array([left, right, top, bottom], dtype=float) / 72 * figure.dpi
    ends = [columns.min(), columns.max() + 1, (rows.min() + rows.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2]
    assert points == pytest.approx(ends, abs=3.0)  # the ends of the line are square
    assert figure.get_size_inches() * figure.dpi == pytest.approx(pixels.shape[1::-1])


def test_what_is_to_be_rasterised_is_an_image_of_the_svg_at_its_place(tmp_path: Path) -> None:
    with canvas(3, 3) as (figure, axes):
        axes.pcolormesh(np.arange(16.0).reshape(4, 4), rasterized=True)
        axes.plot([0, 4], [0, 4], color="#ff0000")
    _, svg = _drawn(figure, tmp_path)
    (image,) = re.findall(r"<image [^>]*>", svg)
    at = {name: float(re.search(rf' {name}="(-?[\d.]+)"', image)[1]) for name in ("x", "y", "width", "height")}
    box = Bbox(axes.get_window_extent().get_points() / figure.dpi * 72)
    assert abs(at["x"]) == pytest.approx(box.x0, abs=1)
    assert at["width"] == pytest.approx(box.width, abs=1)
    assert at["height"] == pytest.approx(box.height, abs=1)
    assert "#ff0000" in svg


def test_the_same_numbers_give_the_same_files(tmp_path: Path) -> None:
    found = []
    for _ in range(2):
        with mpl.rc_context({"figure.autolayout": True}), canvas(3, 2) as (figure, axes):
            axes.scatter([0, 1], [1, 0], label="trial")
            axes.legend()
        save(figure, tmp_path / "figure.png")
        found.append([(tmp_path / name).read_bytes() for name in ("figure.png", "figure.svg")])
    assert found[0] == found[1]
