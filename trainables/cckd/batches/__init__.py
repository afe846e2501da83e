"""What each step of an epoch sees.

steps            views of D, mixed samples of D_mix, and the teacher's targets
epoch_draws      the random choices of an epoch
augmentation     what only the student sees, on top of the view
mixing           mixup and cutmix
resident_images  training images kept on the device
streamed_images  training images decoded ahead
teacher_targets  the teacher's features on the device, and its logits, formed from them
torchvision_private  the private names of torchvision
"""
