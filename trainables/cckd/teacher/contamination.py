"""Whether a teacher was pre-trained on the labels of the very images that a data set is cut from."""

import re

from trainables.cckd.teacher.spec import TeacherSpec
from trainables.cckd.teacher.weights import EMBEDDED

#: ImageNet-1k, and the larger ImageNets, which hold its images with labels as fine.
_IMAGENET = re.compile(r"in(1|12|21|22)k")


def imagenet_labels(spec: TeacherSpec) -> str | None:
    """Return the teacher's pretrained tag where it says that ImageNet's labels were learned, else None.

    Of weights from a file only the tag in the teacher's name says anything. Methods without labels (dino, clip) have
    other tags.
    """
    if spec.name == EMBEDDED and spec.weights is None:
        return "in1k"  # timm, which knows the tag, takes a second to import
    _, _, tag = spec.name.partition(".")
    if not tag and spec.weights is None:
        import timm

        config = timm.get_pretrained_cfg(spec.name)
        tag = (config.tag or "") if config is not None else ""
    return tag if _IMAGENET.search(tag) else None
