"""K trials trained together, which pays where a small student leaves most of a device idle.

terms       the losses of K trials at once
batch_norm  BatchNorm of K trials at once
learner     their students stacked into one, and one step of it
parallel    their students side by side on a GPU, and one step of all
fusable     which trials, and which students, can be trained so
trainer     K trainers that take their epochs together
choice      which of these is fastest here, if any

`side_by_side` trains trials that need have nothing in common, in turns and on streams of their own; `meeting` brings
those together that the threads of a study's process train.

HFTA (Wang et al., MLSys 2021) does the same by rewriting the layers of a model; here `torch.vmap` does, so that what a
student does between its layers (padding channels, joining them) is right for each trial too.
"""
