"""Reads files of `torch.save` without torch, and without running pickled code.

Since torch 1.6 such a file is a zip archive: `data.pkl` is a pickle of containers and
of the shapes of tensors, and `data/KEY` holds the elements of a storage, which several
tensors may share.
"""

import math
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Shaped, UInt

from jaxcorr.errors import UserError
from jaxcorr.extras import needs_extra
from jaxcorr.interop import restricted_pickle
from jaxcorr.paths import AnyPath, as_path

ZIP_START = b"PK\x03\x04"
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of files in the format of torch before 1.6: a pickled magic number."""

_STORAGES = {
    "torch.HalfStorage": np.float16,
    "torch.BFloat16Storage": ml_dtypes.bfloat16,
    "torch.FloatStorage": np.float32,
    "torch.DoubleStorage": np.float64,
    "torch.BoolStorage": np.bool_,
    "torch.ByteStorage": np.uint8,
    "torch.CharStorage": np.int8,
    "torch.ShortStorage": np.int16,
    "torch.IntStorage": np.int32,
    "torch.LongStorage": np.int64,
    "torch.ComplexFloatStorage": np.complex64,
    "torch.ComplexDoubleStorage": np.complex128,
    "torch.storage.UntypedStorage": np.uint8,
}
"""Type of the elements of each storage."""
_DTYPES = {
    f"torch.{name}": getattr(ml_dtypes, name, name)
    for name in ("uint16", "uint32", "uint64", "float8_e4m3fn", "float8_e5m2")
}
"""Types of elements that torch keeps in an untyped storage."""


def read_checkpoint(path: AnyPath) -> Any:
    """Reads a file that `torch.save` wrote: containers, numbers, strings and tensors.

    Needs torch only for files in the format of torch before 1.6.

    Returns:
      The saved object, with tensors as read-only arrays. Tensors that share a storage
      share memory. An `OrderedDict` becomes a dict, and a `torch.Size` a tuple.

    Raises:
      UserError: If the file cannot be read, is damaged, names code to run, or is in the
        older format while torch is not installed.
    """
    try:
        with as_path(path).open("rb") as file:
            start = file.read(len(LEGACY_START))
            if start == LEGACY_START:
                return _read_by_torch(path)
            _check(start.startswith(ZIP_START))
            return _Archive(file).load()
    except UserError:
        raise
    except restricted_pickle.CodeRefused as error:
        raise UserError(
            f"{path} contains pickled code ({error.name}), which is not run: save only "
            "tensors, numbers and strings, in lists and dicts"
        ) from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    except Exception as error:  # Errors of many kinds, if torch did not write the file.
        raise UserError(
            f"{path} cannot be read: torch did not write it, or it is damaged"
        ) from error


def _read_by_torch(path: AnyPath) -> Any:
    """Reads a file of the older format, with tensors as float32 arrays."""
    with needs_extra("compressai", f"{path}, in the format of torch before 1.6,"):
        import torch  # pyright: ignore[reportMissingImports]  # An extra.

    def to_arrays(content: Any) -> Any:
        if isinstance(content, torch.Tensor):
            return content.detach().float().numpy()
        if isinstance(content, Mapping):
            return {key: to_arrays(value) for key, value in content.items()}
        return content

    return to_arrays(torch.load(path, map_location="cpu", weights_only=True))


class _Storage(NamedTuple):
    """Elements that tensors are views of.

    Attributes:
      key: Name of the file in the archive.
      dtype: Type of the elements.
    """

    key: str
    dtype: np.dtype


class _Archive:
    """A file of torch that is open for reading."""

    def __init__(self, file: BinaryIO):
        self.size = file.seek(0, 2)
        self.zip = zipfile.ZipFile(file)
        entries = self.zip.infolist()
        # The file must hold all bytes that the archive claims to hold, so that reading
        # them takes no more memory than the file. Torch does not compress.
        _check(all(entry.compress_type == zipfile.ZIP_STORED for entry in entries))
        _check(sum(entry.file_size for entry in entries) <= self.size)
        names = [entry.filename for entry in entries]
        (pickle,) = (name for name in names if name.endswith("/data.pkl"))
        self.folder = pickle.removesuffix("data.pkl")
        big = f"{self.folder}byteorder" in names and self._read("byteorder") == b"big"
        self.order = ">" if big else "<"
        self.buffers: dict[tuple[str, int], UInt[np.ndarray, " words"]] = {}
        self.elements = 0

    def load(self) -> Any:
        """Returns the saved object."""
        dtypes = {name: np.dtype(kind) for name, kind in (_STORAGES | _DTYPES).items()}
        functions = {
            "collections.OrderedDict": lambda: {},
            "torch.Size": tuple,
            "torch.device": lambda *parts: ":".join(map(str, parts)),
            "torch._utils._rebuild_parameter": lambda tensor, *_: tensor,
            "torch._utils._rebuild_parameter_with_state": lambda tensor, *_: tensor,
            "torch._utils._rebuild_tensor": self._tensor,
            "torch._utils._rebuild_tensor_v2": self._tensor,
            "torch._utils._rebuild_tensor_v3": self._tensor,
        }
        return restricted_pickle.evaluate(
            self._read("data.pkl"), names=functions | dtypes, persistent=self._storage
        )

    def _read(self, name: str) -> bytes:
        return self.zip.read(self.folder + name)

    def _storage(
        self, kind: str, dtype: np.dtype, key: str, location: str, length: int
    ) -> _Storage:
        """Returns a storage; the arguments are the persistent ID of torch."""
        del location
        _check(kind == "storage" and isinstance(key, str))
        _check(length * dtype.itemsize <= self._buffer(key, dtype).nbytes)
        return _Storage(key, dtype)

    def _tensor(
        self,
        storage: _Storage,
        offset: int,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        requires_grad: bool = False,
        hooks: Any = None,
        dtype: np.dtype | None = None,
        metadata: Any = None,
    ) -> Shaped[np.ndarray, "..."]:
        """Returns a view of a storage; the arguments are those of torch."""
        del requires_grad, hooks, metadata
        dtype = storage.dtype if dtype is None else dtype
        _check(all(number >= 0 for number in (offset, *shape, *strides)))
        # Views may repeat elements. Copies of all tensors take at most as many elements
        # as the file has bytes.
        self.elements += math.prod(shape)
        _check(self.elements <= self.size)
        return np.ndarray(
            shape,
            dtype,
            buffer=self._buffer(storage.key, dtype),
            offset=offset * dtype.itemsize,
            strides=[stride * dtype.itemsize for stride in strides],
        )

    def _buffer(self, key: str, dtype: np.dtype) -> UInt[np.ndarray, " words"]:
        """Returns the contents of a storage, in the byte order of this machine."""
        width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
        if (key, width) not in self.buffers:
            stored = np.frombuffer(self._read(f"data/{key}"), f"{self.order}u{width}")
            self.buffers[key, width] = stored.astype(f"=u{width}", copy=False)
        return self.buffers[key, width]


def _check(holds: bool) -> None:
    """Raises an error, which becomes that of a damaged file, unless `holds`."""
    if not holds:
        raise ValueError
