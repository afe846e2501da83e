"""What a command does before it does its own work.

installation   refuses to start where a user's module would be imported in place of ours
method_choice  which own method of the user's is entered
continuation   what resume, confirm and ablate share
"""
