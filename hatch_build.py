"""Metadata of the distribution that depend on the address of the repository.

The address stands in `pyproject.toml`, under `tool.hatch.metadata.hooks.custom`.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

FENCE = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
PICTURE = re.compile(r"(!\[[^\]]*\]\()(?![a-z]+:|#)([^)\s]+)")
LINK = re.compile(r"(\]\()(?![a-z]+:|#)([^)\s]+)")


class AddressHook(MetadataHookInterface):
    """Fills in the addresses of the project, and the README with absolute links."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Sets the fields `urls` and `readme`."""
        address = self.config["repository"]
        version = f"v{metadata['version']}"
        metadata["urls"] = {
            "Repository": address,
            "Documentation": f"{address}/tree/{version}/docs",
            "Changelog": f"{address}/blob/{version}/CHANGELOG.md",
            "Issues": f"{address}/issues",
        }
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        text = make_links_absolute(readme, address, version)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def make_links_absolute(readme: str, address: str, version: str) -> str:
    """Returns a README whose relative links lead to files of a version.

    Args:
      readme: Markdown with links relative to the root of the repository.
      address: Address of the repository.
      version: Name of a tag or branch.
    """
    parts = FENCE.split(readme)
    for index in range(0, len(parts), 2):  # Every second part is a block of code.
        text = PICTURE.sub(rf"\g<1>{address}/raw/{version}/\g<2>", parts[index])
        parts[index] = LINK.sub(rf"\g<1>{address}/blob/{version}/\g<2>", text)
    return "".join(parts)
