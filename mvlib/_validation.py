"""Now `mvlib.check`."""

from mvlib.check import *  # noqa: F403
