"""Sets of images and what is read from their files."""
