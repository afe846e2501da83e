"""What is told of a study before it starts.

estimate  how long it takes
dry_run   what --dry-run, --list-spaces and --list-data print
"""
