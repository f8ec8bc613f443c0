"""`make golden` or `make golden METHOD=set_clip`: write golden numbers anew."""

import sys

from golden.harness import METHODS, write

for method in sys.argv[1:] or METHODS:
    try:
        write(method)
    except ValueError as error:
        sys.exit(str(error))
