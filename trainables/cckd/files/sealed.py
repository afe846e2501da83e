"""JSON that carries a hash of its own content, so that a byte that changed on the disk is noticed."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainables.cckd.files.digests import json_digest

#: Key of the hash, beside the content's own keys.
SEAL = "sha256_of_this"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return `content` with its hash added."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    return {**plain, SEAL: json_digest(plain)}


def unsealed(text: str | bytes, *, required: bool = False) -> dict[str, Any]:
    """Parse JSON written from `sealed`, check its hash and return the content without it.

    Args:
        text: the JSON.
        required: whether JSON without a hash is an error; an earlier version wrote none.

    Raises:
        ValueError: not a JSON object, or one that was altered after it was written.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    seal = content.pop(SEAL, None)
    if (required or seal is not None) and seal != json_digest(content):
        raise ValueError("it was altered after it was written: its own hash is another")
    return content


def read_sealed(path: Path, before: Path) -> tuple[dict[str, Any], ValueError | None]:
    """Return the content of a sealed file and None; where it is damaged, the content of its copy and the damage.

    Args:
        path: the file.
        before: its copy from before the last change, which need not exist. A version that keeps one also seals the
            file. The first file of an earlier version has neither.

    Raises:
        ValueError: the damage, where the copy is damaged too or absent.
        OSError: the file itself cannot be read.
    """
    try:
        return unsealed(path.read_bytes(), required=before.exists()), None
    except ValueError as error:
        damage = error
    try:
        return unsealed(before.read_bytes(), required=True), damage
    except (OSError, ValueError):
        raise damage from None
