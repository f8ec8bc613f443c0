"""Now `mvlib.files`."""

from mvlib.files import *  # noqa: F403
