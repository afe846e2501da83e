"""The teacher's features on disk.

feature_cache  one set of features, built in parts
cache_lock     readers share a cache, a builder or remover has it alone
inventory      what lies in a cache: for listing, verifying and pruning
"""
