"""The command line, `jaxcorr COMMAND …`.

Internal: run the commands, whose names and flags are stable.
"""

import sys

from jaxcorr import versions
from jaxcorr.errors import UserError

try:
    versions.check_python()  # Before imports that may need a later Python.
except UserError as error:
    print(f"jaxcorr: error: {error}", file=sys.stderr)
    sys.exit(2)
