"""The table of data sets that come with the toolkit. A new set needs its module in `sources` and a line here."""

from collections.abc import Mapping
from types import MappingProxyType

from trainables.cckd.data.images.sets import DataSetInfo
from trainables.cckd.data.sources import cifar, digits, fashion_mnist, published, user_files

#: name -> entry, in the order they are listed; the first is the default set.
DATA_SETS: Mapping[str, DataSetInfo] = MappingProxyType(
    {
        info.name: info
        for info in (
            fashion_mnist.INFO,
            digits.INFO,
            cifar.CIFAR10,
            cifar.CIFAR100,
            *published.INFOS,
            *user_files.INFOS,
        )
    }
)


def list_data() -> tuple[DataSetInfo, ...]:
    """Return every data set that `parse_data` knows."""
    return tuple(DATA_SETS.values())
