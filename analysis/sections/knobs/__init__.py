"""The section on knobs.

section       the section, with the table of the space
importance    importances against chance and their measures
standing      where each knob should stand
slices        one knob at a time
pairs         heatmaps of pairs
group_pairs   a heatmap per group of classes that a knob moves
interactions  interaction strengths
"""
