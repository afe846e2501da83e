"""K trials trained as one network: one launch of a layer serves them all, which pays where launches are the cost.

terms      the losses of K trials at once
learner    their students stacked into one, and one step of it
fusable    which trials, and which students, can be trained so
trainer    K trainers that take their epochs together
choice     whether that is faster here

HFTA (Wang et al., MLSys 2021) does the same by rewriting the layers of a model; here `torch.vmap` does, so that what a
student does between its layers (padding channels, joining them) is right for each trial too.
"""
