"""One file a section of the report; each turns a study into a document.Section and writes its files.

confirmation: the ladder, with parts of their own for several cuts of the long tail (cuts) and for what was lucky in
the search (luck); classes: per-class gains; search: how it went; health: whether it can be trusted; knobs: the space,
with the importances and the pairs in parts of their own; recommendation: what to use; teacher: how good it is;
provenance: what was run on what.
"""
