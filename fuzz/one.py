"""Fuzzes one target in this process; `run.py` starts it.

    python fuzz/one.py TARGET OPTIONS…

The options are those of libFuzzer. The inputs to begin with are run first: modules that
a target imports late are instrumented then, and no later input waits for an import or a
compilation.
"""

import sys

import atheris  # pyright: ignore[reportMissingImports]  # An environment of its own.

# Atheris 3.0.0 keeps the result of every comparison in a module that it instruments.
# Where arrays are compared, these would fill the memory.
COMPARES_ARRAYS = ["jaxcorr.entropy.tables"]

with atheris.instrument_imports(include=["jaxcorr"], exclude=COMPARES_ARRAYS):
    import targets

    name = sys.argv.pop(1)
    target = targets.TARGETS[name]
    for seed in targets.seeds(name):
        targets.run(target, seed)

if __name__ == "__main__":
    atheris.Setup(sys.argv, lambda data: targets.run(target, data))
    atheris.Fuzz()
