"""Records of runs, and of which version of their methods they are."""
