"""The teacher fitted to its cached features.

fitted_teacher  classifier and prior of any form of teacher
folds           folds of the training images, and their readouts
probe, ncm      logit-adjusted regression; nearest class mean
softmax_regression  the regression at one strength
gpu_regression  the same with its products on a GPU
fit_cost        what a fit will take, from a timed sample
fit_steps       finished steps of a long fit, kept on disk
class_order     which class each output of a network's own classifier stands for
prior           four ways to take the teacher's prior
row_blocks      features, and logits of D_val, a block of rows at a time
fit_cache       fitted teachers on disk
"""
