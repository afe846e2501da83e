import json
import subprocess
import sys
from hashlib import sha256
from types import MappingProxyType

import numpy as np
import pytest
import torch

from trainables.cckd.random_streams import derive_seed, generator, torch_stream


def test_a_seed_is_63_bits_of_the_hash_of_canonical_json() -> None:
    text = '[7,{"a":1.5,"b":"x"},"init"]'
    assert json.loads(text) == [7, {"a": 1.5, "b": "x"}, "init"]
    expected = int(sha256(text.encode()).hexdigest()[:16], 16) >> 1
    assert derive_seed(7, {"b": "x", "a": 1.5}, "init") == expected


def test_a_seed_ignores_the_order_and_kind_of_a_mapping() -> None:
    assert derive_seed({"a": 1, "b": 2}) == derive_seed(MappingProxyType({"b": 2, "a": 1}))


def test_parts_of_different_kinds_give_different_seeds() -> None:
    seeds = [derive_seed(part) for part in (1, 1.0, True, "1", None)]
    assert len(set(seeds)) == len(seeds)
    assert derive_seed(1, 23) != derive_seed(12, 3)


@pytest.mark.parametrize("part", [np.zeros(2), float("nan")])
def test_parts_without_a_canonical_form_are_refused(part: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        derive_seed(part)  # type: ignore[arg-type]


def test_a_stream_depends_on_its_seed_name_and_index_only() -> None:
    first = generator(1, "order", 2).random(4)
    np.random.default_rng(0).random(100)
    np.testing.assert_array_equal(first, generator(1, "order", 2).random(4))
    for other in (generator(2, "order", 2), generator(1, "pairs", 2), generator(1, "order", 3)):
        assert not np.array_equal(first, other.random(4))


def test_a_torch_stream_repeats_and_leaves_the_global_generator_alone() -> None:
    before = torch.get_rng_state()
    with torch_stream(3, "init"):
        first = torch.rand(3)
    with torch_stream(3, "init"):
        torch.testing.assert_close(torch.rand(3), first, rtol=0, atol=0)
    with torch_stream(3, "noise", 1):
        assert not torch.equal(torch.rand(3), first)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("module", ["bundle.trial_data", "random_streams", "records", "losses.terms"])
def test_modules_the_driver_needs_do_not_import_torch(module: str) -> None:
    code = f"import sys, trainables.cckd.{module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
