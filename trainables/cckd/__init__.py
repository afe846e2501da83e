"""The trainer of class-conditional knowledge distillation: torch, timm and torchvision; no Ray, no Optuna.

config, methods      one trial's validated configuration; the ladder ce, la, kd, cckd, acckd_no_fi, acckd
data, longtail       data sets, splits, the long tail, augmented views
teacher, assemble    the frozen teacher, its cached outputs, the bundle every trial reads
losses, objective    the losses as pure functions, and their weighted sum
trainer              one trial as an iterator of epoch records

Nothing is imported here: the driver reads `config` and `data` without paying for torch.
"""
