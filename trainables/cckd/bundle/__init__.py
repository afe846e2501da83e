"""What every trial reads: data and teacher outputs as one bundle.

trial_data       the bundle, and the test set apart from it
mapped_features  teacher features too large to be copied
assemble         from a data set and a fitted teacher to the bundle
"""
