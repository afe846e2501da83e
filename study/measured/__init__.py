"""What has been measured on a kind of machine and is kept there for later studies.

machine     kinds of machines: what decides how fast a processor computes
step_gains  how many times as fast as in float32 a student's step is in bfloat16
"""
