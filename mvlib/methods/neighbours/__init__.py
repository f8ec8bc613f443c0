"""Methods of neighbouring problems, for views: graphs, one view alone, losses from pictures."""
