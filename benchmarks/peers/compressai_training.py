"""Times CompressAI's train step; `blocks.py` runs it in a separate environment.

    pip install compressai==1.2.8 torch numpy pillow
    python compressai_training.py OPTIONS

OPTIONS is a JSON object with the fields of `blocks.Peer`. The program writes a line
when it is ready. Then it reads numbers of steps, takes the steps, and writes their
seconds. One step: forward, bits + λ MSE, backward, clipped gradient, Adam. It uses a
GPU if there is one, and torch's autocast for bfloat16. With --check in place of OPTIONS
it only imports its packages.
"""

import importlib.abc
import importlib.machinery
import json
import math
import sys
import time

import torch  # pyright: ignore[reportMissingImports]  # Not a dependency of jaxcorr.


class PlaceholderCoder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Imports placeholders for CompressAI's compiled coder where it is not built.

    Training does not call the coder.
    """

    def find_spec(self, name, path, target=None):
        """Finds the two compiled modules, if no other finder did."""
        if name in {"compressai._CXX", "compressai.ans"}:
            return importlib.machinery.ModuleSpec(name, self)
        return None

    def exec_module(self, module):
        """Lets the module have a class of any name."""
        module.__getattr__ = lambda name: type(name, (), {})


sys.meta_path.append(PlaceholderCoder())
try:
    import torchvision  # pyright: ignore[reportMissingImports]  # noqa: F401
except RuntimeError:
    # Lets torchvision be imported beside a torch without its operators. Never called.
    torchvision_operators = torch.library.Library("torchvision", "DEF")
    for signature in (
        "nms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
        "qnms(Tensor boxes, Tensor scores, float threshold) -> Tensor",
    ):
        torchvision_operators.define(signature)

from compressai import models  # noqa: E402  # pyright: ignore[reportMissingImports]

DISTORTION_WEIGHT = 0.013
ARCHITECTURES = {
    "mean-scale": models.MeanScaleHyperprior,
    "cheng2020-anchor": lambda width, _: models.Cheng2020Anchor(width),
}
LEARNING_RATE = 1e-4
MAX_GRADIENT_NORM = 1.0


class Trainer:
    """A model with random weights, its optimizer, and a constant batch.

    The arguments are the fields of `blocks.Peer`.
    """

    def __init__(
        self,
        *,
        architecture: str,
        width: int,
        channels: int,
        batch: int,
        crop: int,
        dtype: str,
        channels_last: bool,
        compiled: bool,
    ):
        torch.manual_seed(0)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        layout = torch.channels_last if channels_last else torch.contiguous_format
        model = ARCHITECTURES[architecture](width, channels).train()
        model = model.to(self.device, memory_format=layout)
        # Quantiles of the tables have an optimizer of their own in CompressAI.
        self.parameters = [
            parameter
            for name, parameter in model.named_parameters()
            if not name.endswith("quantiles")
        ]
        self.model = torch.compile(model) if compiled else model
        self.optimizer = torch.optim.Adam(self.parameters, lr=LEARNING_RATE)
        images = torch.rand(batch, 3, crop, crop, device=self.device)
        self.images = images.contiguous(memory_format=layout)
        self.half = dtype == "bfloat16"

    def step(self) -> None:
        """Takes one step."""
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.half):
            out = self.model(self.images)
        pixels = self.images.numel() / 3
        likelihoods = out["likelihoods"].values()
        bits = sum(x.float().log().sum() for x in likelihoods) / (-math.log(2) * pixels)
        mse = 255**2 * torch.mean((out["x_hat"].float() - self.images) ** 2)
        (bits + DISTORTION_WEIGHT * mse).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimizer.step()

    def seconds(self, steps: int) -> float:
        """Returns the seconds that a number of steps take."""
        self.wait()
        start = time.perf_counter()
        for _ in range(steps):
            self.step()
        self.wait()
        return time.perf_counter() - start

    def wait(self) -> None:
        """Waits until the GPU has finished."""
        if self.device == "cuda":
            torch.cuda.synchronize()


def main(options: str) -> None:
    """Reads numbers of steps from standard input and writes their seconds."""
    trainer = Trainer(**json.loads(options))
    trainer.step()
    print(f"ready on {trainer.device}", flush=True)
    for line in sys.stdin:
        print(trainer.seconds(int(line)), flush=True)


if __name__ == "__main__" and sys.argv[1:] != ["--check"]:
    main(*sys.argv[1:])
