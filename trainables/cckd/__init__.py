"""The trainer of class-conditional knowledge distillation: torch, timm and torchvision; no Ray, no Optuna.

Ground, imported by everything above:
config, methods   one trial's validated configuration; the knobs and the ladder of methods, one row each
recipe            how a data set's students are trained, each value with its source
records, metrics  what an epoch leaves behind, and the rates computed from it
confidence        sums per bin of confidence, and the expected calibration error
long_tail         class counts of a long tail, and the groups of classes
random_streams    one random stream per purpose
precision         number formats of a student's passes
tensors, errors   arrays as tensors; the errors that a user can cause
cifar_resnets     the old path of students.timm_models

Packages, each importing only from those before it:
files        files written whole, hashes
data         data sets, splits, the long tail, augmented views
teacher      the frozen teacher, its cached features and its fit
bundle       the data and teacher outputs that every trial reads
losses       the terms of the objective, and their weighted sum
batches      what each step of an epoch sees
students     networks, their construction and their export
training     one trial as an iterator of epoch records
concurrent   several trials in one process

Nothing is imported here: the driver reads `config` and `data` without loading torch.
"""
