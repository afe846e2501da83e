"""One file a section of the report; each turns a study into a document.Section and writes its files.

confirmation: the ladder, with a part of its own (cuts) where there are several cuts of the long tail; classes:
per-class gains; search: how it went; health: whether it can be trusted; knobs: the space, its pairs, and the
importances in a part of their own; recommendation: what to use; teacher: how good it is; provenance: what was run on
what.
"""
