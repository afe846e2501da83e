"""What has been measured on a kind of machine and is kept there for later studies.

machine     kinds of machines: what decides how fast a processor computes
step_times  how long a student's step takes, in float32 and in bfloat16
"""
