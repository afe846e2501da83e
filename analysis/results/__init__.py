"""The runs of the confirmation, and what follows from them.

entries             names, order and baselines of the entries
accuracies          test accuracies of every run, and the runs that claims rest on
comparisons         paired gains and the primary comparisons
ladder              one row per entry: accuracies by group and gains over la
class_gains         gains by class and by group of classes
subset_gains        gains over several subsets of the long tail
tuned_baselines     baselines with a search of their own
head_tail_exchange  price for the head, flow of errors, separation of features
ablation            what each setting and each part of best1 buys
training_length     whether entries are trained out, what a longer training leaves of the gains
claim_sentences     sentences on a confirmed result
findings            headline, sentences and warnings of the first screen
"""
