"""`make golden` or `make golden METHOD=set_clip`: write golden numbers anew."""

import sys

from golden.harness import every_case, write

for method in sys.argv[1:] or every_case():
    try:
        write(method)
    except ValueError as error:
        sys.exit(str(error))
