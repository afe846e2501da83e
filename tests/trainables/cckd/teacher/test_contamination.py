import pytest

from trainables.cckd.teacher.contamination import imagenet_labels
from trainables.cckd.teacher.spec import TeacherSpec, fitted_on_val


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("tf_efficientnet_lite0", "in1k"),
        ("tf_efficientnet_lite0.in1k", "in1k"),
        ("resnet50", "a1_in1k"),
        ("vit_base_patch16_clip_224.openai_ft_in1k", "openai_ft_in1k"),
        ("convnext_tiny.fb_in22k", "fb_in22k"),
        ("vit_base_patch16_224.augreg2_in21k_ft_in1k", "augreg2_in21k_ft_in1k"),
        ("vit_base_patch16_clip_224.openai", None),
        ("vit_base_patch8_224.dino", None),
        ("vit_base_patch14_dinov2", None),
        ("vit_base_patch16_siglip_224.webli", None),
    ],
)
def test_the_pretrained_tag_says_whose_labels_were_learned(name: str, tag: str | None) -> None:
    assert imagenet_labels(TeacherSpec(name=name)) == tag


def test_of_a_file_only_a_tag_in_the_name_says_anything() -> None:
    assert imagenet_labels(TeacherSpec(name="resnet50", weights="mine.pth")) is None
    assert imagenet_labels(TeacherSpec(name="tf_efficientnet_lite0", weights="mine.pth")) is None
    assert imagenet_labels(TeacherSpec(name="resnet50.a1_in1k", weights="mine.pth")) == "a1_in1k"


@pytest.mark.parametrize(
    ("form", "prior", "fitted"),
    [
        ("linear_probe", "val", ("strength", "prior")),
        ("ncm", "train", ("scale",)),
        ("head", "fixed_point", ("prior",)),
        ("zero_shot", "uniform", ()),
    ],
)
def test_what_is_fitted_on_val_follows_from_form_and_prior(form: str, prior: str, fitted: tuple[str, ...]) -> None:
    assert fitted_on_val(TeacherSpec(form=form, prior=prior)) == fitted
