"""What the user reads and types on the terminal.

command_line  how commands are spelled: `python -m study.run` or `cckd-study run`
faults        faults of a command line, gathered for one message
home          what libraries need of a home folder that cannot be used
output        what is printed when its reader has gone
progress      a live bar on a terminal, plain lines in a pipe
pace          how fast a study goes, and what it says when it stands still
signals       Ctrl-C and the signals that mean the same; clean-ups that none of them disturbs
"""
