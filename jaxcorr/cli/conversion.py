"""Converts many files for a command: several at once, with progress and errors."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

from tqdm.auto import tqdm

from jaxcorr import runtime
from jaxcorr.cli import output as results
from jaxcorr.cli.batch import Item
from jaxcorr.cli.output import print_error, print_note
from jaxcorr.errors import UserError
from jaxcorr.paths import AnyPath

MOST_JOBS = 4
"""Files that are converted at once, unless more are requested."""


def convert_files(
    items: Sequence[Item], convert: Callable[[Item], str], *, jobs: int | None = None
) -> None:
    """Converts files, and exits at the end if one of them failed.

    Several threads convert files at once, so that one is read or written while another
    is coded. On an accelerator, they share runs of analysis and synthesis. What is
    printed has the order of the files. A failure of any kind is reported on standard
    error and does not stop the others. The status is 2, or 1 if an error was none of
    the input.

    Args:
      items: Files to convert.
      convert: Writes an output and returns a short description of it; threads call it.
      jobs: Files to convert at once; None for a number that fits the machine.
    """
    start, statuses = time.perf_counter(), []
    jobs = min(len(items), _default_jobs() if jobs is None else jobs)
    # tqdm hides the bar for True, and for None where there is no terminal.
    hide_progress = True if len(items) == 1 else None
    bar = tqdm(total=len(items), unit="image", disable=hide_progress, smoothing=0.1)
    with bar, contextlib.ExitStack() as stack:
        if jobs > 1:
            stack.enter_context(_sharing(jobs))
            pool = ThreadPoolExecutor(jobs)
            stack.callback(pool.shutdown, cancel_futures=True)
            futures = [
                pool.submit(copy_context().run, _convert_file, item, convert)
                for item in items
            ]
            outcomes = (future.result() for future in futures)
        else:
            outcomes = (_convert_file(item, convert) for item in items)
        for status, lines in outcomes:
            results.print_held(lines)
            statuses.append(status)
            bar.update()
    if len(items) > 1:
        count, seconds = statuses.count(0), time.perf_counter() - start
        print_note(
            f"{count} of {len(items)} files written in {seconds:.1f} s "
            f"({count / seconds:.2f} per second)"
        )
    if failed := [status for status in statuses if status]:
        sys.exit(min(failed))


def check_jobs(jobs: int | None) -> None:
    """Checks the number of files to convert at once.

    Raises:
      UserError: If it is below 1.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs must be at least 1, but is {jobs}")


def _sharing(jobs: int) -> contextlib.AbstractContextManager[None]:
    """Lets images of one canvas be analyzed or synthesized at once on an accelerator.

    The cores of a CPU are busy with a single image.
    """
    import jax

    from jaxcorr.bitstream import shared_batches

    return shared_batches.sharing(1 if jax.default_backend() == "cpu" else jobs)


def _default_jobs() -> int:
    """Returns a file more than threads of the CPU, but no more than files are small."""
    return min(runtime.usable_threads() + 1, MOST_JOBS)


def _convert_file(
    item: Item, convert: Callable[[Item], str]
) -> tuple[int, list[tuple[str, bool]]]:
    """Converts a file; returns its status, and the lines to print."""
    start, status = time.perf_counter(), 0
    with results.hold_lines() as lines:
        try:
            if item.failure is not None:
                raise item.failure
            with report_memory_errors(item.name):
                description = convert(item)
        except UserError as error:
            status = 2
            print_error(str(error))
        except Exception as error:
            status = 1
            print_error(f"{item.name}: {describe_error(error)}")
            results.print_traceback()
        else:
            seconds = time.perf_counter() - start
            line = f"{item.name} -> {item.target}: {description}, {seconds:.2f} s"
            if results.is_standard_stream(item.target):
                print_note(line)
            else:
                results.print_result(line)
    return status, lines


def describe_error(error: Exception) -> str:
    """Returns the type and the first line of an error."""
    message = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {message}".rstrip(": ")


@contextlib.contextmanager
def report_memory_errors(name: str | AnyPath) -> Iterator[None]:
    """Turns an out-of-memory error into a `UserError`.

    Args:
      name: Image that the block works on.

    Raises:
      UserError: If memory runs out in the block.
    """
    import jax

    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or any(
            words in str(error) for words in ("RESOURCE_EXHAUSTED", "Out of memory")
        ):
            raise UserError(
                f"{name} does not fit into memory: end other programs, or give a lower "
                "limit such as --memory 2GB, which takes smaller windows"
            ) from error
        raise
