"""The command line: run what is planned, look at it, build the book."""

from mvlib.files import attach

_EXPORTS = {"main": "mvlib.cli.parser"}

__all__ = list(_EXPORTS)
__getattr__, __dir__ = attach(__name__, _EXPORTS)
