"""What one trial does.

cckd              the trainer; no Ray, no Optuna
own_method        a user's own method, and how each process finds it
trial_context     what all trials of a run share: data sets, device, limits
checkpoint_store  where the checkpoints of a study lie
object_store      an object store: opened, asked again while it is out of order, its errors in words
trial_run         one trial or rerun in legs, with checkpoints; no Ray
trial             the Ray trainables around it
trial_host        a process that trains several trials at once
"""
