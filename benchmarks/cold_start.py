"""Measures the seconds that `jaxcorr compress` takes for one image.

    python benchmarks/cold_start.py MODEL IMAGE

Runs the command in new processes, with an empty cache of compiled programs and with a
filled one, and prints the seconds of the command and of its stages.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = """
import time
start = time.perf_counter()
import sys
from jaxcorr import images, run_directory, runtime
from jaxcorr.bitstream import compression
imported = time.perf_counter()
runtime.enable_compilation_cache()
model = run_directory.load(sys.argv[1])
model.device_parameters
loaded = time.perf_counter()
image, _ = images.read_image(sys.argv[2])
compression.compress(image, model)
coded = time.perf_counter()
compression.compress(image, model)
again = time.perf_counter()
print(imported - start, loaded - imported, coded - loaded, again - coded)
"""


def main(model: str, image: str) -> None:
    """Prints a line for an empty cache and a line for a filled one."""
    print(f"{'cache':8}{'command':>9}{'import':>9}{'load':>9}{'code':>9}{'again':>9}")
    for cache in ("empty", "full"):
        # Each measurement of an empty cache needs a new cache.
        with tempfile.TemporaryDirectory() as folder:
            if cache == "full":
                command(model, image, folder)
            total = command(model, image, folder)
        with tempfile.TemporaryDirectory() as folder:
            if cache == "full":
                stages(model, image, folder)
            seconds = stages(model, image, folder)
        print(f"{cache:8}" + "".join(f"{part:9.2f}" for part in [total, *seconds]))


def command(model: str, image: str, folder: str) -> float:
    """Returns the seconds of the command."""
    program = Path(sys.executable).with_name("jaxcorr")
    target = str(Path(folder) / "image.jxc")
    start = time.perf_counter()
    run([str(program), "compress", image, "-m", model, "-o", target, "--force"], folder)
    return time.perf_counter() - start


def stages(model: str, image: str, folder: str) -> list[float]:
    """Returns the seconds to import, to load the model, and to code an image twice."""
    output = run([sys.executable, "-c", STAGES, model, image], folder)
    return [float(seconds) for seconds in output.split()]


def run(arguments: list[str], cache: str) -> str:
    """Returns the output of a new process whose caches are in a folder."""
    environment = os.environ | {"XDG_CACHE_HOME": cache}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    return subprocess.run(
        arguments, env=environment, check=True, capture_output=True, text=True
    ).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
