"""Ray: the only package of study that imports it."""
