"""What is done with groups once they are found: taken away, corrected, searched, kept."""
