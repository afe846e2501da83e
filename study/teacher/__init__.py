"""The teacher's part of a study, computed on Ray's workers before the trials.

bundle        everything that trials share: images, features, the fitted teacher
feature_pass  the teacher's pass over one set of images, cached on disk
fit_task      the fit as a task of a worker, with its steps kept beside the driver
memory        a device with too little memory is one line
small_images  what a study's image store lacks, made before the teacher's pass
teacher_fit   the fit of the teacher's form to its features
verification  the check of cached features while the study goes on
worker_tasks  the tasks that the workers run
"""
