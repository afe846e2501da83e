"""The data sets, one module per source, and what they share.

digits, fashion_mnist, cifar  sets that are read whole
published                     ImageNet-LT, Places-LT, iNaturalist 2018 by their list files
user_files                    a user's own folders or list files
idx, cifar_pickle, lists      file formats
locate, fetch                 where files are looked for, and downloads
"""
