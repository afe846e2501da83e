"""What a study will do, judged before it starts."""
