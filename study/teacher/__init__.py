"""The teacher's part of a study, computed on Ray's workers before the trials.

bundle        everything that trials share: images, features, the fitted teacher
feature_pass  the teacher's pass over one set of images, cached on disk
small_images  what a study's image store lacks, made before the teacher's pass
verification  the check of cached features while the study goes on
worker_tasks  the tasks that the workers run
"""
