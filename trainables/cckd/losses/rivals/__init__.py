"""The losses of other methods, one pure function each; a row of the table of terms turns one on.

rebalanced_targets  bkd and dive: classic distillation from a teacher whose targets are rebalanced
sample_weights      wsl: soft labels weighed sample by sample
decoupled           dkd and ltkd: a divergence split into a part between groups of classes and a part within
margins             vs and ldam: cross-entropy whose logits are scaled or shifted class by class
class_weights       weights of classes by their effective number of samples, for bkd and ldam
"""
