"""Students: built, and exported.

build              any timm model as a student
cifar_net          the CIFAR ResNets
cifar_sizes        their sizes, without torch
speed              how long a training step takes
timm_models        registers them with timm
stems              ResNet stems for small images
cosine_classifier  a classifier of scaled cosines
export             a finished student as two files
"""
