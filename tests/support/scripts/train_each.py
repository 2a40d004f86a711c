"""Runs `train.py` with the arguments in each line of standard input, one by one.

For each run it writes a line of JSON: exit status, standard output, standard error.
"""

import json
import os
import sys
import tempfile
import traceback

from jaxcorr.cli import main


def train(arguments: list[str]) -> int:
    """Returns the exit status of a run."""
    sys.argv = ["train.py", "train", *arguments]
    try:
        main.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


answers = os.fdopen(os.dup(1), "w")
for line in sys.stdin:
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        # Of the process, since libraries do not write by `sys.stderr`.
        os.dup2(output.fileno(), 1)
        os.dup2(errors.fileno(), 2)
        status = train(json.loads(line))
        sys.stdout.flush()
        sys.stderr.flush()
        output.seek(0)
        errors.seek(0)
        print(json.dumps([status, output.read(), errors.read()]), file=answers)
        answers.flush()
