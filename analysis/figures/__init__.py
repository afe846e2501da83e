"""One file a figure; each draws numbers computed elsewhere and returns a matplotlib Figure.

style: theme and colours; history: the search; pairs: heatmaps; importance: shares; classes: gains and recalls.
"""
