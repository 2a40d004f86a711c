"""Writes files of torch, and what torch reads from them.

    pip install torch numpy
    python tests/references/make_pytorch_checkpoint.py

Last made with Python 3.11.7, torch 2.13.0 and NumPy 1.26.4. Writes beside itself:

    pytorch_checkpoint.pth          tensors of many types, views and shared storages
    pytorch_checkpoint.npz          the values of these tensors, by their names
    pytorch_legacy.pth              a tensor in the format of torch before 1.6
    compressai-mbt2018-mean.pth.tar the weights of `compressai-mbt2018-mean.npz`, as a
                                    checkpoint of CompressAI's training script
    compressai-one-storage.pth      a part of these weights, those of a model with two
                                    channels, as views of one storage, for fuzzing
"""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]  # Not among ours.

FOLDER = Path(__file__).parent
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "complex64", "complex128"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float8_e4m3fn", "float8_e5m2"),
)


def tensors() -> dict[str, torch.Tensor]:
    """Returns tensors that are stored in different ways."""
    values = torch.linspace(0, 100, 15).reshape(3, 5)
    state = {name: values.to(getattr(torch, name)) for name in DTYPES}
    state["complex64"] = state["complex64"] * (1 - 2j)
    storage = torch.arange(60, dtype=torch.float32) / 8
    return state | {
        "bool": values > 50,
        "scalar": torch.tensor(-2.5),
        "empty": torch.zeros(0, 4),
        "transposed": storage.reshape(3, 4, 5).permute(2, 0, 1),
        "slice": storage.reshape(6, 10)[1:5:2, 3:9:3],
        "last": storage[59:],
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 3),
        "channels_last": torch.arange(24.0)
        .reshape(1, 2, 3, 4)
        .to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(storage[:7] + 1),
    }


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
    """Returns the values, in float32 if NumPy does not have the type."""
    tensor = tensor.detach()
    own = not str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8"))
    return (tensor if own else tensor.float()).numpy()


CHANNELS = {8: 2, 12: 2, 18: 3, 24: 4}
"""Sizes of a model with two channels in place of those of the saved one."""


def small_weights(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns parameters of a model with two channels, which share one storage."""
    parts = {
        name: tensor.detach()[tuple(slice(CHANNELS.get(n, n)) for n in tensor.shape)]
        for name, tensor in weights.items()
        if tensor.dim() and not name.endswith(("target", "bound", "pedestal"))
    }
    ends = torch.tensor([part.numel() for part in parts.values()]).cumsum(0)
    storage = torch.cat([part.flatten() for part in parts.values()])
    return {
        name: storage[end - part.numel() : end].view(part.shape)
        for (name, part), end in zip(parts.items(), ends.tolist(), strict=True)
    }


def main() -> None:
    """Writes all files."""
    state = tensors()
    content = {
        "state_dict": OrderedDict(state),
        "epoch": 3,
        "large": 2**70,
        "loss": 0.25,
        "name": "λ",
        "flags": [True, False, None, (), ("a", 1, -70_000), b"bytes".hex()],
        "shape": torch.Size([2, 3]),
        "device": torch.device("cpu"),
    }
    torch.save(content, FOLDER / "pytorch_checkpoint.pth")
    loaded = torch.load(FOLDER / "pytorch_checkpoint.pth", weights_only=True)
    arrays: dict[str, Any] = {
        name: to_numpy(tensor) for name, tensor in loaded["state_dict"].items()
    }
    np.savez_compressed(FOLDER / "pytorch_checkpoint.npz", **arrays)

    legacy = {"state_dict": {"weight": state["transposed"]}}
    path = FOLDER / "pytorch_legacy.pth"
    torch.save(legacy, path, _use_new_zipfile_serialization=False)

    with np.load(FOLDER / "compressai-mbt2018-mean.npz") as references:
        weights = OrderedDict(
            (name.removeprefix("state/"), torch.from_numpy(references[name]))
            for name in references.files
            if name.startswith("state/")
        )
    torch.save(small_weights(weights), FOLDER / "compressai-one-storage.pth")
    weights["g_a.0.weight"] = torch.nn.Parameter(weights["g_a.0.weight"])
    optimizer = torch.optim.Adam([weights["g_a.0.weight"]], lr=1e-4)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, "min")
    checkpoint = {
        "epoch": 3,
        "state_dict": weights,
        "loss": torch.tensor(1.5),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
    }
    torch.save(checkpoint, FOLDER / "compressai-mbt2018-mean.pth.tar")


if __name__ == "__main__":
    main()
