"""Fuzzes one target in this process; `run.py` starts it.

    python fuzz/one.py TARGET OPTIONS…

The options are those of libFuzzer.
"""

import sys

import atheris  # pyright: ignore[reportMissingImports]  # An environment of its own.

with atheris.instrument_imports(include=["jaxcorr"]):
    import targets

if __name__ == "__main__":
    target = targets.TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, lambda data: targets.run(target, data))
    atheris.Fuzz()
