"""The trials of a search.

history        one row per trial, states, causes of failure
front          the front of two objectives
trial_matrix   complete trials as a matrix of knob positions, and the targets
columns        knobs as columns of a linear model
screen         which knobs matter
importance     the importances of all measures and targets, and their sentences
group_knobs    knobs that matter for a group of classes, and where each group is best
interactions   interaction strengths of pairs of knobs
slices         one knob's effect along its range
surrogate      the accuracy as a function of all knobs, judged on unseen trials
pair_surfaces  pairs of knobs on a grid, the others taken out
health         coverage, edges, rungs, convergence, outlook
"""
