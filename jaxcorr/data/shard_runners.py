"""Writes shards in this process, in several processes, or by Apache Beam."""

import concurrent.futures
import importlib
import itertools
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from jaxcorr import runtime
from jaxcorr.data import shard_writer
from jaxcorr.data.shard_writer import ShardJob, ShardSummary
from jaxcorr.errors import UserError

Runner = Callable[[Iterable[ShardJob]], Iterator[ShardSummary]]
"""Writes shards in any order, and yields summaries of those that are finished."""


def in_processes(workers: int) -> Runner:
    """Returns a runner that writes as many shards at a time.

    Args:
      workers: Number of processes. 1 writes in the process of the caller.

    Raises:
      UserError: If there are no workers.
    """
    if workers < 1:
        raise UserError(f"--workers must be at least 1, but is {workers}")
    if workers == 1:
        return lambda jobs: map(shard_writer.write_shard, jobs)
    return lambda jobs: _run_in_processes(jobs, workers)


def _run_in_processes(jobs: Iterable[ShardJob], workers: int) -> Iterator[ShardSummary]:
    others = multiprocessing.active_children()
    # A forked process would share the threads of libraries, which it does not have.
    pool = ProcessPoolExecutor(
        workers,
        multiprocessing.get_context("spawn"),
        initializer=runtime.end_with_parent,
    )
    waiting = iter(jobs)
    running: set[Future[ShardSummary]] = set()
    try:
        while True:
            # Two for each worker: one that it writes, and one that it takes next.
            for job in itertools.islice(waiting, 2 * workers - len(running)):
                running.add(pool.submit(shard_writer.write_shard, job))
            if not running:
                break
            done, running = concurrent.futures.wait(
                running, return_when=FIRST_COMPLETED
            )
            for future in done:
                yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            "a worker was ended from outside, perhaps for lack of memory; the same "
            "command goes on, also with fewer --workers"
        ) from error
    finally:
        if running:  # After an error: their shards would not be missed.
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
        pool.shutdown(cancel_futures=True)


def in_beam(runner: str, options: Sequence[str] = ()) -> Runner:
    """Returns a runner that is a pipeline of Apache Beam.

    All machines must see the images and the folder by the same paths.

    Args:
      runner: Name of a runner of Beam, such as `DirectRunner` or `DataflowRunner`.
      options: Options of the pipeline, such as `--direct_num_workers=4`.

    Raises:
      UserError: If apache-beam is not installed.
    """
    try:
        beam: Any = importlib.import_module("apache_beam")
    except ModuleNotFoundError as error:
        raise UserError(
            f"--beam-runner {runner} needs apache-beam, which is not installed: "
            "pip install apache-beam"
        ) from error

    def run(jobs: Iterable[ShardJob]) -> Iterator[ShardSummary]:
        with beam.Pipeline(runner, argv=list(options)) as pipeline:
            shards = pipeline | "list the shards" >> beam.Create(list(jobs))
            spread = shards | "spread the shards" >> beam.Reshuffle()
            _ = spread | "write a shard" >> beam.Map(shard_writer.write_shard)
        return iter(())

    return run
