"""One trial as an iterator of epoch records.

trainer        epochs, evaluation, checkpoints
learner        student, alignment layer and optimiser, one step at a time
schedule       learning rate of a step
step_times     how much faster a step is in bfloat16 here
cuda_graph     a step replayed as a CUDA graph
checkpoint     the format of a checkpoint folder
separability   distances between class means of features
allocator      keeps freed memory in the process
torch_private  the private names of torch
"""
