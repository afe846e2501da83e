"""A session: from a checked study to an exit code, with the lock, the log, the phases, and the last messages.

begin      a new study
resume     a study that goes on
messages   what a session tells its user
to_report  the phases, the report, and how a study says that it has ended
"""
