"""A study while its phases run.

study_in_progress  what its phases share
engine             the work on Ray that it asks for
ticker             the progress line and the tables, while Ray runs a phase
"""
