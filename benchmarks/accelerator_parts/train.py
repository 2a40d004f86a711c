"""Trains a trunk and branches that differ in α, on photographs in device memory.

The trunk is trained without the correlation loss at a constant learning rate, for a
fixed time. The branches start from its parameters and take equally many steps on the
same crops: one without the loss, two with it. Their learning rate drops for the last
fifth.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np

from accelerator_parts import photographs as photograph_files
from accelerator_parts import setup, train_state
from accelerator_parts.photographs import Photographs
from accelerator_parts.results import Figures, Results
from accelerator_parts.sizes import Sizes

TRUNK = "trunk"
BRANCHES = {"branch-0": 0.0, "branch-0.03": 0.03, "branch-0.1": 0.1}
"""α of each branch."""
SEED = 0
DROP_AT = 0.8
"""Fraction of the steps of a branch after which its learning rate drops."""
DTYPE = "bfloat16"
SAVE_SECONDS = 100.0
"""Seconds between two saves of a run."""
RESERVE = 20.0
"""Seconds before the time limit at which a run stops and is saved."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    """A training run.

    Attributes:
      name: Name in files and figures.
      static_config: Settings of the step.
      alpha: Weight of the correlation loss.
      first: First step.
      last: Step after the last one; None if the time limit decides.
    """

    name: str
    static_config: Any
    alpha: float
    first: int = 0
    last: int | None = None


def run(
    results: Results,
    sizes: Sizes,
    *,
    photographs: Photographs,
    train_model: str,
    **_: Any,
) -> None:
    """Continues the trunk and each branch, then codes Kodak with the finished runs.

    Args:
      results: The figures.
      sizes: Sizes of the measurements.
      photographs: Photographs to train on, and Kodak.
      train_model: Name of the codec.
    """
    crops = photograph_files.on_device(photographs.train, crop=sizes.crop)
    trunk = _trunk(sizes, train_model)
    _continue_run(results, sizes, trunk, crops)
    for name, alpha in BRANCHES.items():
        progress = results.figures.get(trunk.name)
        if not (progress and progress["done"]):
            results.left.append(f"{train_model}-{name}")
            continue
        branch = _branch(sizes, train_model, name, alpha, progress["steps"])
        _continue_run(results, sizes, branch, crops)
    for name in (TRUNK, *BRANCHES):
        key = f"{train_model}-{name}"
        if results.figures.get(key, {}).get("done"):
            results.measure(
                f"{key} Kodak",
                functools.partial(
                    kodak, results, sizes, train_model, key, photographs.kodak
                ),
            )


def kodak(
    results: Results, sizes: Sizes, train_model: str, name: str, images
) -> Figures:
    """Encodes photographs to files, decodes them and returns mean bpp and PSNR."""
    settings = sizes.models[train_model]
    static_config = setup.static_config_of(settings, DTYPE, crop=sizes.crop)
    folder = results.path.parent
    state = train_state.load(folder / name, _abstract_state(static_config))
    parameters = None if state is None else state.parameters
    if parameters is None:
        parameters = train_state.load_parameters(folder, name)
    model = setup.make_model(settings, parameters)
    bpp, psnr = [], []
    for image in images:
        data, _ = setup.encode(model, image)
        decoded, _ = setup.decode(model, data)
        bpp.append(8 * len(data) / (image.shape[0] * image.shape[1]))
        psnr.append(setup.psnr_db(image, decoded))
    return {
        "images": len(images),
        "bpp": float(np.mean(bpp)),
        "psnr_db": float(np.mean(psnr)),
        "parameters": "float16" if state is None else "float32",
    }


def runs_to_send(results: Results) -> list[str]:
    """Returns names of runs in the order in which a later call needs them."""
    names = [name for name in results.figures if not name.endswith(" Kodak")]
    done = [name for name in names if results.figures[name].get("done", False)]
    unfinished = [name for name in names if name not in done]
    trunks = [name for name in done if name.endswith(TRUNK)]
    return [*unfinished, *trunks, *(name for name in done if name not in trunks)]


def _trunk(sizes: Sizes, train_model: str) -> Run:
    static_config = setup.static_config_of(
        sizes.models[train_model],
        DTYPE,
        crop=sizes.crop,
        warmup_steps=sizes.warmup_steps,
    )
    return Run(name=f"{train_model}-{TRUNK}", static_config=static_config, alpha=0.0)


def _branch(sizes: Sizes, train_model: str, name: str, alpha: float, first: int) -> Run:
    share = sizes.branch_seconds / sizes.trunk_seconds if sizes.trunk_seconds else 1.0
    blocks = max(1, round(first * share / sizes.logged_steps))
    last = first + blocks * sizes.logged_steps
    static_config = setup.static_config_of(
        sizes.models[train_model],
        DTYPE,
        crop=sizes.crop,
        steps=last,
        drop_at=(first + DROP_AT * (last - first)) / last,
    )
    return Run(
        name=f"{train_model}-{name}",
        static_config=static_config,
        alpha=alpha,
        first=first,
        last=last,
    )


def _continue_run(results: Results, sizes: Sizes, run: Run, crops) -> None:
    """Trains a run until its end or the time limit, and saves it."""
    progress = results.figures.get(run.name)
    if progress and progress["done"]:
        return
    if results.budget.seconds <= 0:
        results.left.append(run.name)
        return
    results.measure(
        run.name, functools.partial(_train, results, sizes, run, crops), again=True
    )
    if not results.figures.get(run.name, {}).get("done"):
        results.left.append(run.name)


def _train(results: Results, sizes: Sizes, run: Run, crops) -> Figures:
    """Trains until the end of the run or the time limit, and saves regularly."""
    progress = results.figures.get(run.name) or _new_progress(run)
    state = _state(results.path.parent, run, progress["steps"])
    key, weights = jax.random.key(SEED), setup.weights_at(run.alpha)
    cut = functools.partial(
        photograph_files.cut_crops, *crops, batch=sizes.train_batch, crop=sizes.crop
    )
    clock, saved = None, results.budget.seconds
    while not progress["done"] and (results.budget.seconds > RESERVE or clock is None):
        metrics = {}
        first = progress["steps"]
        for step in range(first, first + sizes.logged_steps):
            state, metrics = setup.train_step(
                state, cut(SEED, step), weights, key, static_config=run.static_config
            )
        progress = _progress_after(progress, run, sizes, metrics)
        now = results.budget.seconds
        # The first steps include compilation and do not count.
        progress["seconds"] += 0.0 if clock is None else clock - now
        clock = now
        if run.last is None:
            progress["done"] = progress["seconds"] >= sizes.trunk_seconds
        if saved - now > SAVE_SECONDS:
            _save(results, run, state, progress)
            saved = now
    _save(results, run, state, progress)
    return progress


def _progress_after(
    progress: Figures, run: Run, sizes: Sizes, metrics: Figures
) -> Figures:
    """Returns the progress after more steps, given the metrics of the last."""
    steps = progress["steps"] + sizes.logged_steps
    values = [float(metrics[name]) for name in ("loss", "bpp", "mse", "correlation")]
    return progress | {
        "steps": steps,
        "loss": values[0],
        "curve": [*progress["curve"], [steps, *values]],
        "done": run.last is not None and steps >= run.last,
    }


def _save(results: Results, run: Run, state, progress: Figures) -> None:
    folder = results.path.parent
    train_state.save(folder / run.name, state)
    train_state.save_parameters(folder, run.name, state.parameters)
    results.figures[run.name] = progress
    results.write()


def _new_progress(run: Run) -> Figures:
    return {
        "done": False,
        "alpha": run.alpha,
        "steps": run.first,
        "seconds": 0.0,
        "curve": [],
    }


def _state(folder: Path, run: Run, steps: int):
    """Returns the state to continue from: saved, from parameters, or a new one."""
    state = train_state.load(folder / run.name, _abstract_state(run.static_config))
    if state is not None and int(state.step) == steps:
        return jax.device_put(state)
    name = run.name
    if steps == run.first and run.last is not None:
        name = f"{run.name.rsplit('-branch', 1)[0]}-{TRUNK}"
    parameters = train_state.load_parameters(folder, name)
    if parameters is None:
        parameters = setup.initialize(run.static_config.codec, jax.random.key(SEED))
    return setup.state_at(run.static_config, jax.device_put(parameters), steps)


def _abstract_state(static_config):
    def initial_state():
        parameters = setup.initialize(static_config.codec, jax.random.key(0))
        return setup.new_state(static_config, parameters)

    return jax.eval_shape(initial_state)
