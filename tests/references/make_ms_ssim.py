"""Writes `ms_ssim.npz`: MS-SSIM of synthetic images, by an independent implementation.

    pip install pytorch-msssim==1.0.0 torch numpy
    python tests/references/make_ms_ssim.py

Last made with Python 3.11.7, pytorch-msssim 1.0.0, torch 2.13.0 and NumPy 1.26.4, in
float64. That implementation is https://github.com/VainF/pytorch-msssim.
"""

from pathlib import Path

import numpy as np
import pytorch_msssim  # pyright: ignore[reportMissingImports]  # Not among ours.
import synthetic
import torch  # pyright: ignore[reportMissingImports]  # Not among ours.

SIZES = ((161, 161), (176, 192), (163, 178), (190, 175))
"""Smallest, even, odd at every scale in one direction and then in the other."""


def planes(image: np.ndarray) -> torch.Tensor:
    """A uint8 image as a batch of one, channels first, in [0, 1]."""
    scaled = image.astype(np.float64) / 255
    return torch.from_numpy(scaled).permute(2, 0, 1)[None]


def main() -> None:
    """Writes sizes, names of the pairs, and a value for each of both."""
    names = list(synthetic.pairs(*SIZES[0]))
    values = [
        [
            pytorch_msssim.ms_ssim(planes(one), planes(other), data_range=1.0).item()
            for one, other in synthetic.pairs(*size).values()
        ]
        for size in SIZES
    ]
    path = Path(__file__).with_name("ms_ssim.npz")
    np.savez(
        path, sizes=np.array(SIZES), names=np.array(names), values=np.array(values)
    )


if __name__ == "__main__":
    main()
