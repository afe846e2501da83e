"""The trials of a search.

history        one row per trial, states, causes of failure
front          the front of two objectives
trial_matrix   complete trials as a matrix of knob positions, and the targets
forests        permutation importances against chance, and a surrogate of training
fanova         fANOVA shares
importance     the importances of all measures and targets, and their sentences
interactions   interaction strengths of pairs of knobs
slices         one knob against accuracy, smoothed
pair_grids     pairs of knobs on a grid: observed means and the surrogate
path_to_best   the greedy path from the reference point to the best
health         coverage, edges, rungs, convergence, outlook
"""
