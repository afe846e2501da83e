"""Several trials in one process, for `--trials-per-process`.

side_by_side   takes the steps of several trials in turns; on a GPU each trial has a stream of its own
epoch_barrier  brings together the trials that the threads of one process train
noisy_layers   finds the students that must train alone
"""
