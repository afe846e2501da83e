"""The seal of a small JPEG file of an image store: a comment that says whether every other byte is as it was written.

It holds a CRC-32 of the bytes around it, begun with the file's name. Compressed pixels have no checksum of their own,
and decoders turn most damage in them into wrong pixels without an error. A CRC-32 of 50 KB takes a fiftieth of the time
of their decoding, so a file is compared with its seal whenever it is read.
"""

from zlib import crc32

#: The comment: marker, length of what follows, a word that says what it is, and the checksum.
_WORD = b"cckd image store "
_BYTES = 4
_MARKER = b"\xff\xfe" + (2 + len(_WORD) + _BYTES).to_bytes(2) + _WORD


def sealed(content: bytes, name: str) -> bytes:
    """Return a JPEG file with its seal behind the first segment, JFIF's, which readers expect to be the first.

    Args:
        content: the file.
        name: of the file, without its folder; a file that is found under another name is not whole.
    """
    at = _behind_first_segment(content)
    return content[:at] + _MARKER + _checksum(content, b"", name) + content[at:]


def is_whole(content: bytes, name: str) -> bool:
    """Whether a file of this name is as `sealed` returned it."""
    at = _behind_first_segment(content)
    seal = at + len(_MARKER)
    end = seal + _BYTES
    whole = memoryview(content)
    return whole[at:seal] == _MARKER and whole[seal:end] == _checksum(whole[:at], whole[end:], name)


def _behind_first_segment(content: bytes) -> int:
    return 4 + int.from_bytes(content[4:6])


def _checksum(before: bytes | memoryview, behind: bytes | memoryview, name: str) -> bytes:
    return crc32(behind, crc32(before, crc32(name.encode()))).to_bytes(_BYTES)
