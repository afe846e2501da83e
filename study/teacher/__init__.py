"""The teacher's pass on the workers."""
