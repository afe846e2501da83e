"""The losses and their weighted sum.

terms              the table of terms; a plain loss on D or D_mix is one function and one row there
inert_knobs        knobs that no term reads at the values of the others
objective          the weighted sum of the terms that are on
closed_form        supervised and class-conditional losses of both sets at once, gradients included
plain_forms        what forms each plain term
own_loss           whether the loss of a user's own method works
setting            what a plain loss may read beside logits and targets
soft_targets       classic distillation
rivals             the losses of other methods
layout             where the sets lie in a step, and their priors, scales and weights
feature_imitation  cosine between student and teacher features
targets            what the student is compared with
"""
