"""Digests name files and seeds that outlive a version, so their form is pinned."""

import hashlib
import json
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

from trainables.cckd.files.digests import hash_array, json_digest, sha256_of

CONTENT = {"b": [1, 2.5, None], "a": {"y": True, "x": "ü"}}


@pytest.mark.parametrize(("spaced", "separators"), [(False, (",", ":")), (True, (", ", ": "))])
def test_json_is_hashed_in_one_form(spaced: bool, separators: tuple[str, str]) -> None:
    text = json.dumps(CONTENT, sort_keys=True, separators=separators)
    assert json_digest(CONTENT, spaced=spaced) == hashlib.sha256(text.encode()).hexdigest()


def test_the_order_of_keys_and_the_kind_of_mapping_do_not_matter() -> None:
    turned = MappingProxyType(dict(reversed(CONTENT.items())))
    assert json_digest(turned) == json_digest(CONTENT)
    assert len({json_digest(value) for value in (1, 1.0, True, "1")}) == 4


@pytest.mark.parametrize("value", [float("nan"), np.zeros(2), {1, 2}])
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        json_digest({"a": value}, allow_nan=False)


def test_an_array_is_hashed_with_its_dtype_and_shape(tmp_path: Path) -> None:
    zeros = np.zeros((2, 3), np.uint8)
    others = (zeros.astype(np.int8), zeros.reshape(3, 2), zeros + 1)
    assert hash_array(zeros[::-1]) == hash_array(zeros)
    assert hash_array(zeros) not in {hash_array(other) for other in others}
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256_of(tmp_path / "file") == hashlib.sha256(b"abc").hexdigest()
