"""Texts that the processes of a run exchange, without any device.

They go through the key-value store of JAX's coordinator, which runs in process 0.
"""

import collections
import json
from typing import Any

import jax
from jax._src import distributed as jax_distributed

from jaxcorr.errors import TransientError

GATHER_SECONDS = 300
"""Seconds in which every process must take part in an exchange."""

FOREVER_SECONDS = 10**6

_CALLS: collections.Counter[str] = collections.Counter()


def client() -> Any:
    """Returns the connection to JAX's coordinator; None without other processes."""
    return jax_distributed.global_state.client


def gather(name: str, text: str) -> list[str]:
    """Returns the text of each process. Every process must call it.

    Args:
      name: Name of the exchange, the same in every process.
      text: Text of this process.

    Raises:
      TransientError: If another process does not take part.
    """
    if jax.process_count() == 1:
        return [text]
    store, key = client(), f"jaxcorr/{name}/{_CALLS[name]}"
    _CALLS[name] += 1
    store.key_value_set(f"{key}/{jax.process_index()}", text)
    if jax.process_index() == 0:
        keys = [f"{key}/{index}" for index in range(jax.process_count())]
        texts = [_wait_for(store, key) for key in keys]
        store.key_value_set(f"{key}/all", json.dumps(texts))
    return json.loads(_wait_for(store, f"{key}/all"))


def wait_for_all(name: str) -> None:
    """Waits, as long as it takes, until all processes call it."""
    number = _CALLS[name]
    _CALLS[name] += 1
    client().wait_at_barrier(f"jaxcorr/{name}/{number}", 1000 * FOREVER_SECONDS)


def _wait_for(store: Any, key: str) -> str:
    """Returns the value of a key, once a process has set it."""
    try:
        return store.blocking_key_value_get(key, 1000 * GATHER_SECONDS)
    except Exception as error:  # The class depends on the version of JAX.
        process = key.rpartition("/")[2].replace("all", "0")
        raise TransientError(
            f"process {process} of the run did not answer within {GATHER_SECONDS} s: "
            "see its output"
        ) from error
