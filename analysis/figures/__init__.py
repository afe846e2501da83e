"""One module per figure; each draws numbers computed elsewhere and returns a matplotlib Figure or plotly data.

history         the search over trials and over time, and its convergence
front           two objectives against each other
importance      importances against chance, shares, class groups
slices          one knob against accuracy
pairs           heatmaps of pairs, the matrix of interactions
classes         gains and recalls of a few classes by name
ranked_classes  gains and recalls of a hundred classes by rank
class_counts    gains and recalls of very many classes by training count
paired_gains    gains of best1 over each baseline, pair by pair and on each subset
ablation        what each setting and each part buys
learning_curves D_val along the runs of the confirmation
plotly_figures  interactive figures: parallel coordinates, history
"""
