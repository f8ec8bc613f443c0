"""Pages of the data sets, and what describes them to programs."""
