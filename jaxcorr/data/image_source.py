"""The interface of a source of images."""

from typing import Any, Protocol, runtime_checkable


@runtime_checkable  # So that tests can check types.
class ImageSource(Protocol):
    """Random access to 8-bit RGB images: `source[index]` has shape `[h w 3]`.

    Sources of Grain have this interface, too.
    """

    def __len__(self) -> int:
        """Returns the number of images."""
        ...

    def __getitem__(self, index: Any) -> Any:
        """Returns an image."""
        ...
