"""The rivals on several views, one file each."""
