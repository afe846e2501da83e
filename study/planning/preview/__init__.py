"""What is told of a study before it starts or goes on.

estimate         how long it takes
missing          what a study that was begun has yet to train
training_length  whether its students are trained out
dry_run          what --dry-run, --list-spaces and --list-data print
"""
