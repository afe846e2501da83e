"""The teacher: a frozen backbone and a classifier on its features.

spec          which teacher is asked for
check         whether it fits the data set
contamination whether it has learned the labels of the data set's own images
teacher_file  a verified weight file
weights       where weight files are looked for
backbone      images to features
stages        which intermediate maps are features, where they are asked for
embeddings    class embeddings of a zero-shot teacher
features      features of all images and views
readout       features to logits
readout_module the same in torch
forward       backbone and readout as one module
cache         features on disk
fit           classifier and prior

`spec`, `readout`, `cache` and `fit` need no torch; `backbone`, `stages`, `features`,
`readout_module` and `forward` do.
"""
