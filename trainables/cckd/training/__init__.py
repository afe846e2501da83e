"""One trial as an iterator of epoch records.

trainer        epochs, evaluation, checkpoints
learner        student, alignment layer and optimiser, one step at a time
passes         the student's passes of a step, over D and D_mix apart or together
schedule       learning rate of a step
step_times     how long a step takes here, in float32 and in bfloat16
cuda_graph     a step replayed as a CUDA graph
checkpoint     the format of a checkpoint folder
separability   distances between class means of features
allocator      keeps freed memory in the process
torch_private  the private names of torch
"""
