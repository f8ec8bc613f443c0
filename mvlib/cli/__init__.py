"""The command line: run what is planned, look at it, build the book."""

from mvlib.cli.parser import main as main
