"""The teacher's features on disk.

feature_cache  one set of features, built in parts
cache_lock     readers share a cache, a builder or remover has it alone
fit_files      which files of fits, beside the features, no study can use
inventory      what lies in a cache: for listing, verifying and pruning
"""
