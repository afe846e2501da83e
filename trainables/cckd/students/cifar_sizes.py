"""The sizes of the CIFAR students, their parameters and what one image costs. Without torch: the driver reads it."""

#: Name -> n, residual blocks per stage.
N_BLOCKS = {"resnet8_cifar": 1, "resnet20_cifar": 3, "resnet32_cifar": 5}

#: Channels of the three stages.
WIDTHS = (16, 32, 64)


def cifar_multiply_adds(name: str, n_classes: int, in_chans: int, image_size: int) -> int:
    """Return the multiply-adds of one image's forward pass: convolutions and the classifier."""
    side, width = image_size, WIDTHS[0]
    total = 9 * in_chans * width * side**2
    for stage, wider in enumerate(WIDTHS):
        side = side if stage == 0 else -(-side // 2)
        n_square = 2 * N_BLOCKS[name] - 1  # all 3x3 convolutions of the stage but the first keep the width
        total += 9 * wider * (width + n_square * wider) * side**2
        width = wider
    return total + width * n_classes


def cifar_parameters(name: str, n_classes: int, in_chans: int) -> int:
    """Return the number of trainable parameters: convolutions, two for each channel that is normalised, classifier."""
    width = WIDTHS[0]
    total = 9 * in_chans * width + 2 * width
    for wider in WIDTHS:
        n_square = 2 * N_BLOCKS[name] - 1
        total += 9 * wider * (width + n_square * wider) + 2 * wider * (1 + n_square)
        width = wider
    return total + (width + 1) * n_classes
