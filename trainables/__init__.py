"""What one trial does: the trainer (`cckd`), and the Ray trainable around it (`trial`)."""
