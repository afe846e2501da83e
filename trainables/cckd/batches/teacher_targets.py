"""The teacher's features on the device of a trial, and its logits, which are formed from them.

Outputs are indexed by row: image V + view.
"""

import torch
from torch import Tensor

from trainables.cckd.bundle.mapped_features import RawFeatures
from trainables.cckd.bundle.trial_data import TrialData
from trainables.cckd.teacher.readout_module import ReadoutModule
from trainables.cckd.tensors import resident

#: Logits of all views that take at most so many bytes are formed once, when the trial starts. A step of a small student
#: then reads them instead of a hundred times as many features. CIFAR-100-LT takes 35 MB.
TABLE_BYTES = 2**26

#: Rows of features that are turned into the rows of such a table at a time.
_TABLE_ROWS = 1024


class MappedFeatures:
    """`RawFeatures` read row by row; indexed like the standardised tensor (N V, D) that they represent.

    They stay on the host: features too large for its memory are too large for a device that several trials share.
    """

    def __init__(self, features: RawFeatures, device: torch.device) -> None:
        self._raw = resident(features.open(), torch.device("cpu")).flatten(0, 1)
        self._device = device
        self._mean = torch.tensor(features.mean, device=device)
        self._std = torch.tensor(features.std, device=device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the standardised features (n, D), float32, of rows int64 (n,)."""
        raw = self._raw.index_select(0, rows.cpu())
        return (raw.to(self._device).float() - self._mean) / self._std


Features = Tensor | MappedFeatures


class FormedLogits:
    """Logits that are formed from the features as they are read, indexed like the tensor (N V, C) that they represent.

    Where there is a readout per fold, the readout of its fold judges each image.
    """

    def __init__(self, data: TrialData, features: Features, device: torch.device) -> None:
        self._features, self._n_views = features, data.n_views
        self._readout = ReadoutModule(data.teacher).to(device)
        self._of_folds: list[ReadoutModule] = []
        folds = data.fold_readouts
        if folds is not None:
            self._of_folds = [ReadoutModule(folds.judge(fold, data.teacher)).to(device) for fold in range(len(folds))]
            self._fold_of = resident(folds.fold_of, device)

    @torch.no_grad()
    def __getitem__(self, rows: Tensor) -> Tensor:
        """Return the logits (n, C), float32, of rows int64 (n,)."""
        features = gather(self._features, rows)
        if not self._of_folds:
            return self._readout(features)
        # One product per fold and not one per image: the weights of a readout are larger than the features of a batch.
        logits = features.new_empty(len(features), len(self._readout.weight))
        folds = self._fold_of[rows // self._n_views]
        for fold, readout in enumerate(self._of_folds):
            of_fold = (folds == fold).nonzero().flatten()
            logits[of_fold] = readout(features[of_fold])
        return logits


Logits = Tensor | FormedLogits


def gather(outputs: Features | Logits, rows: Tensor) -> Tensor:
    """Return the outputs of `rows`, int64 (...), as float32 (..., K)."""
    if isinstance(outputs, Tensor):
        return outputs.index_select(0, rows.flatten()).float().unflatten(0, rows.shape)
    return outputs[rows.flatten()].unflatten(0, rows.shape)


def resident_features(data: TrialData, device: torch.device) -> Features:
    """Upload the teacher's features; map them into memory where they are too large to upload."""
    features = data.teacher_features
    if isinstance(features, RawFeatures):
        return MappedFeatures(features, device)
    return resident(features, device).flatten(0, 1)


def resident_logits(data: TrialData, features: Features, device: torch.device) -> Logits:
    """Return the teacher's logits of every view, as a table on the device where that is small."""
    formed = FormedLogits(data, features, device)
    n_rows = len(data.train_labels) * data.n_views
    if 4 * n_rows * data.n_classes > TABLE_BYTES:
        return formed
    return torch.cat([formed[rows] for rows in torch.arange(n_rows, device=device).split(_TABLE_ROWS)])
