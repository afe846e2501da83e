"""A figure drawn once, as a PNG and as an SVG: to lay its text out takes longer than to write either file."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.figure import Figure
from matplotlib.transforms import Affine2D, IdentityTransform, Transform, TransformedBbox, TransformedPath
from PIL import Image

from analysis.page.style import COLOURS, theme

_DPI, _POINTS = 150, 72

#: Colours of a palette, and how many of them stay as they are.
_N_COLOURS, _N_KEPT = 256, 24


def save(figure: Figure, png: Path) -> None:
    """Write a figure to `png` and beside it as SVG, without a time stamp: the same numbers give the same files."""
    # The theme is set again: matplotlib lays text out when it draws it, not when it places it.
    with (
        mpl.rc_context(theme() | {"svg.hashsalt": png.stem}),
        png.with_suffix(".svg").open("w", encoding="utf-8") as to,
    ):
        figure.set_dpi(_DPI)
        width, height = (_POINTS * inches for inches in figure.get_size_inches())
        svg = RendererSVG(width, height, to, image_dpi=_DPI, metadata={"Date": None, "Creator": None})
        canvas = _Canvas(figure, svg)
        canvas.draw()
        svg.finalize()
    _palette_image(canvas.pixels).save(png)


class _Canvas(FigureCanvasAgg):
    """Draws a figure on pixels and, with the same strokes, into an SVG."""

    def __init__(self, figure: Figure, svg: RendererSVG) -> None:
        super().__init__(figure)
        self._both = _Both(super().get_renderer(), svg, figure.dpi)

    @property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """What is drawn, (height, width, 4)."""
        return np.asarray(self._both.agg.buffer_rgba())

    def get_renderer(self) -> Any:
        """Return what draws, which measures text for the layout too."""
        return self._both

    def draw(self) -> None:
        """Draw the figure."""
        self.figure.draw(self._both)


class _Both(RendererBase):
    """Passes each stroke on to pixels and, in points, to an SVG; what is to be rasterised stands there as an image.

    All is measured in pixels, so that a text stands alike in both.
    """

    def __init__(self, agg: RendererAgg, svg: RendererSVG, dpi: float) -> None:
        super().__init__()
        self.agg, self._svg, self._dpi, self._scale = agg, svg, dpi, _POINTS / dpi
        self._second: RendererBase = svg
        self._placed: Transform = Affine2D().scale(self._scale)
        self.points_to_pixels = agg.points_to_pixels  # type: ignore[method-assign]
        self.get_canvas_width_height = agg.get_canvas_width_height  # type: ignore[method-assign]
        self.get_text_width_height_descent = agg.get_text_width_height_descent  # type: ignore[method-assign]

    def open_group(self, s: str, gid: str | None = None) -> None:
        """Begin a group of the SVG."""
        self._second.open_group(s, gid)

    def close_group(self, s: str) -> None:
        """End it."""
        self._second.close_group(s)

    def start_rasterizing(self) -> None:
        """Let what follows be an image in the SVG."""
        self._second = RendererAgg(self.agg.width, self.agg.height, self._dpi)
        self._placed = IdentityTransform()

    def stop_rasterizing(self) -> None:
        """Put the image into the SVG."""
        image = np.asarray(self._second.buffer_rgba())  # type: ignore[attr-defined]
        self._second, self._placed = self._svg, Affine2D().scale(self._scale)
        rows, columns = (np.flatnonzero(image[:, :, 3].any(axis=axis)) for axis in (1, 0))
        if len(rows):
            held = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
            left, below = columns[0], len(image) - 1 - rows[-1]
            self._svg.draw_image(self._svg.new_gc(), left * self._scale, below * self._scale, held[::-1])

    def draw_path(self, gc: GraphicsContextBase, path: Any, transform: Any, rgbFace: Any = None) -> None:
        """Draw a path."""
        self.agg.draw_path(gc, path, transform, rgbFace)
        self._second.draw_path(self._clipped(gc), path, transform + self._placed, rgbFace)

    def draw_markers(
        self, gc: GraphicsContextBase, marker_path: Any, marker_trans: Any, path: Any, trans: Any, rgbFace: Any = None
    ) -> None:
        """Draw a marker at each vertex of a path."""
        self.agg.draw_markers(gc, marker_path, marker_trans, path, trans, rgbFace)
        moved = marker_trans + self._placed, path, trans + self._placed
        self._second.draw_markers(self._clipped(gc), marker_path, *moved, rgbFace)

    def draw_path_collection(
        self, gc: Any, master_transform: Any, paths: Any, all_transforms: Any, offsets: Any, offset_trans: Any,
        *look: Any, **hatched: Any,
    ) -> None:  # fmt: skip
        """Draw many paths at offsets."""
        many = paths, all_transforms, offsets
        self.agg.draw_path_collection(gc, master_transform, *many, offset_trans, *look, **hatched)
        moved = master_transform + self._placed, *many, offset_trans + self._placed
        self._second.draw_path_collection(self._clipped(gc), *moved, *look, **hatched)

    def draw_quad_mesh(
        self, gc: Any, master_transform: Any, meshWidth: Any, meshHeight: Any, coordinates: Any, offsets: Any,
        offsetTrans: Any, *look: Any,
    ) -> None:  # fmt: skip
        """Draw a mesh of cells."""
        mesh = meshWidth, meshHeight, coordinates, offsets
        self.agg.draw_quad_mesh(gc, master_transform, *mesh, offsetTrans, *look)
        moved = master_transform + self._placed, *mesh, offsetTrans + self._placed
        self._second.draw_quad_mesh(self._clipped(gc), *moved, *look)

    def option_image_nocomposite(self) -> bool:
        """Each image is drawn by itself."""
        return True

    def draw_image(self, gc: GraphicsContextBase, x: float, y: float, im: Any, transform: Any = None) -> None:
        """Draw an image."""
        del transform  # only for renderers that scale images themselves
        self.agg.draw_image(gc, x, y, im)
        self._svg.draw_image(self._clipped(gc), x * self._scale, y * self._scale, im)

    def draw_text(
        self, gc: GraphicsContextBase, x: float, y: float, s: str, prop: Any, angle: float, ismath: Any = False,
        mtext: Any = None,
    ) -> None:  # fmt: skip
        """Draw a text; none is rasterised."""
        self.agg.draw_text(gc, x, y, s, prop, angle, ismath, mtext)
        self._svg.draw_text(self._clipped(gc), x * self._scale, y * self._scale, s, prop, angle, ismath, mtext)

    def _clipped(self, gc: GraphicsContextBase) -> GraphicsContextBase:
        """Return the context of a stroke for the second renderer, which has other units."""
        rectangle, (path, place) = gc.get_clip_rectangle(), gc.get_clip_path()
        if rectangle is None and path is None:
            return gc
        other = self._second.new_gc()
        other.copy_properties(gc)
        if rectangle is not None:
            other.set_clip_rectangle(TransformedBbox(rectangle, self._placed))  # type: ignore[arg-type]
        if path is not None and place is not None:
            other.set_clip_path(TransformedPath(path, place + self._placed))  # type: ignore[arg-type]
        return other


def _palette_image(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Return opaque `pixels` (h, w, 4) with a palette, which takes a third of the bytes of dozens of figures.

    The style's own colours and the most frequent ones stay as they are. A median cut among the others finds the colours
    that stand for them, from samples that let a rare colour, such as that of one mark, count for more than its share.
    """
    packed = np.ascontiguousarray(pixels).view("<u4")[:, :, 0] & 0xFFFFFF
    found, counts = np.unique(packed, return_counts=True)
    named = np.isin(found, [_packed(colour) for colour in COLOURS])
    order = np.lexsort((-counts, ~named))
    colours, counts = found[order], counts[order]
    palette = (colours[:, None] >> np.array([0, 8, 16]) & 0xFF).astype(np.uint8)
    places = np.arange(len(found))
    if len(found) > _N_COLOURS:
        samples = np.ceil(np.sqrt(counts[_N_KEPT:])).astype(int)
        cut = Image.fromarray(np.repeat(palette[_N_KEPT:], samples, axis=0)[None])
        cut = cut.quantize(_N_COLOURS - _N_KEPT, dither=Image.Dither.NONE)
        places[_N_KEPT:] = _N_KEPT + np.asarray(cut)[0, samples.cumsum() - samples]
        palette = np.vstack([palette[:_N_KEPT], np.array(cut.getpalette(), dtype=np.uint8).reshape(-1, 3)])
    place_of = np.empty(1 << 24, dtype=np.uint8)  # pages of it that hold no colour are never touched
    place_of[colours] = places
    drawn = Image.fromarray(place_of[packed])
    drawn.putpalette(palette.tobytes())
    return drawn


def _packed(colour: str) -> int:
    """Return a colour, '#RRGGBB', as four bytes of a pixel without the last, the first the lowest."""
    return int.from_bytes(bytes.fromhex(colour[1:]), "little")
