"""Rivals that cluster images by frozen features, with words or without: one file each."""
