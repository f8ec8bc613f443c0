"""Readers of the files of data sets: a function a layout, chosen by the registry.

Views are read in `views`, images in `images` and `folders`, pairs in `pairs`. Nothing is
unpickled, and a file that is not of its layout is a ValueError that names it.
"""
