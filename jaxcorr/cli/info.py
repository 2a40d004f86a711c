"""The command that prints the headers of compressed files; it needs no JAX."""

import sys
from pathlib import Path
from typing import Any

from jaxcorr.bitstream.container import HEADER_BYTES, Container
from jaxcorr.bitstream.sections import Section
from jaxcorr.cli import output as results
from jaxcorr.cli.arguments import FilesAndFolders, JsonPath
from jaxcorr.cli.compress import find_compressed
from jaxcorr.errors import UserError


def info(paths: FilesAndFolders, json: JsonPath = None) -> None:
    """Prints the headers of compressed files (needs no model)."""
    if not paths:
        raise UserError("no input file is given")
    if json is not None:
        results.check_json(json)
    found = [
        file
        for path in paths
        for file in (find_compressed(path) if path.is_dir() else [path])
    ]
    headers = {}
    for path in found:
        try:
            headers[path] = _describe_header(path)
        except UserError as error:
            results.print_error(str(error))
    if not results.is_standard_stream(json):
        blocks = [
            [*([str(path)] if len(found) > 1 else []), *_format_header(header)]
            for path, header in headers.items()
        ]
        if blocks:
            print("\n\n".join("\n".join(block) for block in blocks))
    if json is not None:
        results.write_json(json, list(headers.values()))
    if len(headers) < len(set(found)):
        sys.exit(2)


def _describe_header(path: Path) -> dict[str, Any]:
    """Returns the header of a compressed file, and the sizes of its parts, as JSON.

    Raises:
      UserError: If the file cannot be read or is damaged.
    """
    data = results.read_data(path)
    container = Container.from_bytes(data, str(path))
    y_bytes, z_bytes = len(container.y_payload), len(container.z_payload)
    sections = {
        _section_name(kind): len(content)
        for kind, content in container.sections.items()
    }
    return {
        "file": str(path),
        "format": container.version,
        "width": container.width,
        "height": container.height,
        "bytes": len(data),
        "header_bytes": HEADER_BYTES,
        "z_bytes": z_bytes,
        "y_bytes": y_bytes,
        "sections": sections,
        "bpp": 8 * len(data) / (container.width * container.height),
        "model": container.fingerprint.hex(),
        "arithmetic": container.arithmetic.name.lower(),
        "grid_offset": container.offset,
    }


def _format_header(header: dict[str, Any]) -> list[str]:
    """Returns the lines that `info` prints for a file."""
    lines = {
        "format": "{format}",
        "size": "{width} x {height} pixels",
        "bytes": "{bytes}: {header_bytes} header, {z_bytes} side information, "
        "{y_bytes} latents",
        "bpp": "{bpp:.4f}",
        "beside": "{beside}",
        "model": "{model}",
        "arithmetic": "{arithmetic}",
        "grid offset": "{grid_offset}",
    }
    sections = header["sections"].items()
    beside = ", ".join(f"{name} {size} bytes" for name, size in sections)
    if not beside:
        del lines["beside"]
    return [
        f"{name:12}{line.format(**header, beside=beside)}"
        for name, line in lines.items()
    ]


def _section_name(kind: int) -> str:
    """Returns the name of a type of side section, or its number if it is unknown."""
    return Section(kind).name.lower() if kind in set(Section) else str(kind)
