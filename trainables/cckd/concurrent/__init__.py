"""Several trials in one process, which `--trials-per-process` asks for.

side_by_side  takes the steps of several trials in turns, on a GPU each trial on a stream of its own
noisy_layers  finds the students that must train alone
meeting       brings together the trials that the threads of a study's process train
"""
