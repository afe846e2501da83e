"""Data sets: names and options (spec, registry), their files, splits, the scan of image files, and views."""
