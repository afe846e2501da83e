"""Statistics as pure functions.

paired_tests        spread, paired t interval, Holm's correction, sign-flip test
pooled_interval     the variance pooled over small samples, and the intervals that it gives
nested_interval     differences nested in subsets of the long tail
test_set_bootstrap  the part of the test images in a gain
many_to_one         groups compared with one control, together
mixed_model         a linear model with random effects
effect_curve        the effect of one variable, with a band, its best places and what others cost
permuted_evidence   the evidence for one variable beside others, in the values and in permutations of them
ped_anova           how far the best trials' density over a knob is from all trials' density
fanova              the share of a forest's variance that each knob's own effect explains
best_subset         the configurations that fresh runs of the finalists do not rule out as the best
"""
