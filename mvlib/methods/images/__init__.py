"""The rivals on features of images, with words or without, one file each."""
