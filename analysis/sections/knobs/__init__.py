"""The section on knobs.

section       the section, with the table of the space
importance    importances against chance and their measures
slices        one knob at a time, and the path to the best
pairs         heatmaps of pairs
interactions  interaction strengths
"""
