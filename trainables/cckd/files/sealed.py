"""JSON that carries a hash of itself, so that a byte that changed on the disk is found, not believed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

#: Key of the hash, beside the content's own keys.
SEAL = "sha256_of_this"


def digest(content: Any) -> str:
    """SHA-256 over plain content as canonical JSON; tuples count as lists, keys as text."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with its hash."""
    plain = {key: value for key, value in content.items() if key != SEAL}
    return {**plain, SEAL: digest(plain)}


def unsealed(text: str | bytes, *, required: bool = False) -> dict[str, Any]:
    """Parse what `sealed` made and return it without the hash.

    Args:
        text: the JSON.
        required: whether the hash must be there; JSON of an earlier version has none.

    Raises:
        ValueError: not a JSON object, or one that was altered after it was written.
    """
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("it holds no JSON object")
    seal = content.pop(SEAL, None)
    if (required or seal is not None) and seal != digest(content):
        raise ValueError("it was altered after it was written: its own hash is another")
    return content
