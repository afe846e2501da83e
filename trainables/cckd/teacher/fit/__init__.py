"""The teacher fitted to its cached features.

fitted_teacher  classifier, targets and prior of any form of teacher
probe, ncm      logit-adjusted regression; nearest class mean
prior           four ways to take the teacher's prior
row_blocks      features a block of rows at a time
top_k_logits    targets where classes are many
fit_cache       fitted teachers on disk
"""
