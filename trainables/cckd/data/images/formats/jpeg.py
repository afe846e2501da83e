"""JPEG files (ITU-T T.81): segments, the frame, its scans, and zeros where compressed pixels should be.

Compressed pixels have no checksum. A decoder turns most damage in them into wrong pixels without an error, so what can
be proved from the outside is checked here: markers that no scan holds, scans that are missing, and long runs of zeros
that the file's own Huffman tables make impossible.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.cckd.data.images.formats.limits import UnusableImageError, require_size

START = b"\xff\xd8\xff"

_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PROGRESSIVE = 0xC2
_DECODED = {0xC0, 0xC1, _PROGRESSIVE}
_OTHER_KINDS = {0xC3: "lossless", **dict.fromkeys((0xC5, 0xC6, 0xC7, 0xDE), "hierarchical")}
_ARITHMETIC = "with arithmetic coding"
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})  # markers without a length
_HUFFMAN, _QUANTISATION, _RESTARTS, _SCAN, _END = 0xC4, 0xDB, 0xDD, 0xDA, 0xD9
_BROKEN_OFF = "torn: its header breaks off"

_NOT_ZERO = re.compile(rb"[^\x00]")
#: Zero bytes in a row that no image has, unless its tables code flat blocks by zeros: 1,024 bits are five blocks or
#: more whose coefficients are all the same. A disk loses 512 bytes or more at once.
_ZEROS = bytes(128)
_MOST_BLOCKS = 10  # of an interleaved scan's unit


class _Markers:
    """The markers within a file's compressed pixels, found for all of them at once and only where there is a scan."""

    def __init__(self, content: bytes) -> None:
        values = np.frombuffer(content, np.uint8)
        places = np.flatnonzero(values[:-1] == 0xFF)
        codes = values[places + 1]
        marks = (codes != 0) & (codes != 0xFF)  # a stuffed zero, a fill byte
        self._places, self._codes = places[marks], codes[marks]
        self._restarts = (self._codes & 0xF8) == 0xD0

    def end(self, start: int) -> int | None:
        """Return the place of the first marker from `start` on that is no restart; it ends the compressed pixels."""
        first = int(np.searchsorted(self._places, start))
        others = np.flatnonzero(~self._restarts[first:])
        return int(self._places[first + others[0]]) if others.size else None

    def restarts(self, pixels: slice) -> NDArray[np.uint8]:
        """Return the numbers 0 to 7 of the restart markers, in their order."""
        within = slice(*np.searchsorted(self._places, (pixels.start, pixels.stop)))
        return self._codes[within] & 7


class _Component(NamedTuple):
    horizontal: int
    vertical: int
    quantisation: int


@dataclass
class _State:
    """What the segments so far have said."""

    progressive: bool = False
    size: tuple[int, int] | None = None
    components: dict[int, _Component] = field(default_factory=dict)
    quantisation: set[int] = field(default_factory=set)
    #: (class, number) of a Huffman table -> the symbol whose code is all zeros: its first one.
    first_symbols: dict[tuple[int, int], int] = field(default_factory=dict)
    restart_interval: int = 0
    scanned: set[int] = field(default_factory=set)


def size(content: bytes) -> tuple[int, int]:
    """Return height and width as the frame's header states them.

    Raises:
        UnusableImageError: there is no such header, of a kind that is decoded, or no study can use its size.
    """
    state = _State()
    for code, data, *_ in _segments(content):
        if code in _FRAMES or code in _OTHER_KINDS:
            _read_frame(code, data, state)
            assert state.size is not None
            return state.size
        if code == _SCAN:
            break
    raise UnusableImageError("torn: it states no size")


def check(content: bytes) -> tuple[int, int]:
    """Check every segment up to the end marker; return height and width.

    A thumbnail in an earlier segment has an end marker too, so segments are walked, not searched.

    Raises:
        UnusableImageError: says what is damaged.
    """
    state = _State()
    for code, data, pixels, markers in _segments(content):
        if code in _FRAMES or code in _OTHER_KINDS:
            _read_frame(code, data, state)
        elif code == _HUFFMAN:
            _read_huffman(data, state)
        elif code == _QUANTISATION:
            _read_quantisation(data, state)
        elif code == _RESTARTS:
            state.restart_interval = int.from_bytes(data[:2])
        elif markers is not None and code == _SCAN:
            _check_scan(content, data, pixels, markers, state)
    if state.size is None:
        raise UnusableImageError("torn: it states no size")
    if len(state.scanned) < len(state.components):
        raise UnusableImageError("torn: a scan is missing")
    return state.size


def _segments(content: bytes) -> Iterator[tuple[int, bytes, slice, "_Markers | None"]]:
    """Yield marker and data of each segment up to the end marker; of a scan the place of its compressed pixels too."""
    offset, markers = 2, None
    while True:
        marker = content[offset : offset + 4]
        if marker[:2] == b"\xff\xd9":
            return
        if len(marker) < 4 or marker[0] != 0xFF:
            raise UnusableImageError(_BROKEN_OFF)
        code = marker[1]
        if code == 0xFF or code in _BARE:  # a fill byte
            offset += 1 if code == 0xFF else 2
            continue
        if code < 0xC0 or code == 0xD8:
            raise UnusableImageError(f"damaged: a marker {code:02X} where none can be")
        start = offset + 4
        offset += 2 + int.from_bytes(marker[2:])
        if offset < start or offset > len(content):
            raise UnusableImageError(_BROKEN_OFF)
        data, pixels = content[start:offset], slice(offset, offset)
        if code == _SCAN:
            markers = markers or _Markers(content)
            end = markers.end(offset)
            if end is None:
                raise UnusableImageError("torn: its end is missing")
            pixels, offset = slice(offset, end), end
        yield code, data, pixels, markers


def _read_frame(code: int, data: bytes, state: _State) -> None:
    if code not in _DECODED:
        kind = _OTHER_KINDS.get(code, _ARITHMETIC)
        raise UnusableImageError(f"a JPEG {kind}, which is not decoded" if code in _FRAMES else "a hierarchical JPEG")
    if state.size is not None:
        raise UnusableImageError("damaged: it has two frames")
    if len(data) < 6 or len(data) != 6 + 3 * data[5]:
        raise UnusableImageError("damaged: its frame has another length than it states")
    bits, n_components = data[0], data[5]
    if bits != 8:
        raise UnusableImageError(f"a JPEG of {bits} bits per colour; 8 are decoded")
    if n_components not in (1, 3, 4):
        raise UnusableImageError(f"damaged: it has {n_components} colour components; 1, 3 or 4 are decoded")
    state.size = height, width = int.from_bytes(data[1:3]), int.from_bytes(data[3:5])
    require_size(height, width)
    for start in range(6, len(data), 3):
        name, factors, table = data[start : start + 3]
        horizontal, vertical = factors >> 4, factors & 15
        if not (1 <= horizontal <= 4 and 1 <= vertical <= 4) or table > 3 or name in state.components:
            raise UnusableImageError(f"damaged: sampling factors {horizontal} x {vertical}, table {table}")
        state.components[name] = _Component(horizontal, vertical, table)
    state.progressive = code == _PROGRESSIVE


def _read_huffman(data: bytes, state: _State) -> None:
    offset = 0
    while offset < len(data):
        counts = data[offset + 1 : offset + 17]
        n_symbols = sum(counts)
        group, number = data[offset] >> 4, data[offset] & 15
        if len(counts) < 16 or not 0 < n_symbols <= 256 or group > 1 or number > 3:
            raise UnusableImageError("damaged: a Huffman table that none can be")
        symbols = data[offset + 17 : offset + 17 + n_symbols]
        if len(symbols) < n_symbols:
            raise UnusableImageError("damaged: a Huffman table breaks off")
        state.first_symbols[group, number] = symbols[0]
        offset += 17 + n_symbols


def _read_quantisation(data: bytes, state: _State) -> None:
    offset = 0
    while offset < len(data):
        wide, number = data[offset] >> 4, data[offset] & 15
        offset += 65 + 64 * wide
        if wide > 1 or number > 3 or offset > len(data):
            raise UnusableImageError("damaged: a quantisation table that none can be")
        state.quantisation.add(number)


def _check_scan(content: bytes, data: bytes, pixels: slice, markers: _Markers, state: _State) -> None:
    """Check the header of a scan and its compressed pixels."""
    n = data[0] if data else 0
    if not 1 <= n <= 4 or len(data) != 4 + 2 * n:
        raise UnusableImageError("damaged: a scan has another length than it states")
    names, tables = data[1 : 1 + 2 * n : 2], data[2 : 2 + 2 * n : 2]
    if state.size is None or len(set(names)) < n or not set(names) <= state.components.keys():
        raise UnusableImageError("damaged: a scan of components that the frame does not have")
    components = [state.components[name] for name in names]
    if n > 1 and sum(one.horizontal * one.vertical for one in components) > _MOST_BLOCKS:
        raise UnusableImageError(f"damaged: a scan of more than {_MOST_BLOCKS} blocks per unit")
    if not {one.quantisation for one in components} <= state.quantisation:
        raise UnusableImageError("damaged: a quantisation table is missing")
    first, last, approximation = data[1 + 2 * n :]
    if state.progressive and (first > last or last > 63 or (first == 0) != (last == 0) or (first and n > 1)):
        raise UnusableImageError("damaged: a scan of coefficients that none can have")
    begins = first == 0 and approximation >> 4 == 0
    if begins or not state.progressive:
        state.scanned.update(names)
    if state.restart_interval:
        restarts = markers.restarts(pixels)
        if (restarts != np.arange(len(restarts)) % 8).any():
            raise UnusableImageError("damaged: restart markers are missing")
    # Not judged: the first bits of progressive coefficients (a gradient may be zeros), and corrections of earlier bits.
    if state.progressive and (first == 0 or approximation >> 4):
        return
    if _zeros_within(content, pixels) and not _zeros_are_flat(tables, state):
        raise UnusableImageError("damaged: zeros stand where its pixels should be")


def _zeros_within(content: bytes, pixels: slice) -> bool:
    """Whether compressed data has a long run of zeros that is not its end, which an encoder may have padded."""
    found = content.find(_ZEROS, pixels.start, pixels.stop)
    return found >= 0 and _NOT_ZERO.search(content, found, pixels.stop) is not None


def _zeros_are_flat(tables: bytes, state: _State) -> bool:
    """Whether zeros can be a flat region: in every table the code of all zeros ends a block, or many blocks.

    The lower half of a table's symbol is the size of the next coefficient. If it is not 0 for the code of all zeros,
    zeros are blocks whose coefficients are all the same. An absent table is the standard one, which is such a table.
    """
    return all(state.first_symbols.get((1, table & 15), 1) & 15 == 0 for table in tables)
