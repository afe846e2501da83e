"""The section on the confirmation.

section          the section, composed of the blocks below
ladder           the tables of the ladder
comparisons      the figure and the table of the primary comparisons
subsets          gains over subsets of the long tail
tuned_baselines  the searches of the tuned baselines
winners_curse    the shrinkage of searched scores, the trials that may still be the best
"""
