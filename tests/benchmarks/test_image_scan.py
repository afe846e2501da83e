"""The files whose scan is timed are what they are called, and both ways do their work."""

import pytest

from benchmarks import image_scan
from benchmarks.image_scan import FILES, costs_ms, written
from trainables.cckd.data.images.formats.limits import UnusableImageError


@pytest.mark.parametrize("name", FILES)
def test_a_file_has_about_the_size_of_its_name(name: str) -> None:
    height, width, options = FILES[name]
    wanted = 1000 * int(name.split()[-2])
    assert 0.75 * wanted < len(written(height, width, options)) < 1.25 * wanted


def test_a_damaged_file_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_scan, "TURNS", 1)
    content = written(20, 20, {"format": "PNG"})
    assert min(costs_ms(content)) > 0
    with pytest.raises(UnusableImageError):
        costs_ms(content[:-1])
