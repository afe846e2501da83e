"""Data sets: names and options (spec, registry), their files, splits, the scan of image files, and views."""

from trainables.cckd.data.images.image_files import ImageFiles
from trainables.cckd.data.images.sets import DataSetInfo, DataUnavailableError, ImageSet
from trainables.cckd.data.images.views import apply_views, draw_views
from trainables.cckd.data.load import LongTailData, load_data
from trainables.cckd.data.registry import list_data
from trainables.cckd.data.spec import DataSpec, parse_data
from trainables.cckd.data.splits import resolve_split

__all__ = [
    "DataSetInfo",
    "DataSpec",
    "DataUnavailableError",
    "ImageFiles",
    "ImageSet",
    "LongTailData",
    "apply_views",
    "draw_views",
    "list_data",
    "load_data",
    "parse_data",
    "resolve_split",
]
