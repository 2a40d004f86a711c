"""Runs the Python snippets of a page of the documentation."""

import contextlib
import io
import re
from collections.abc import Mapping
from typing import Any

from support.paths import ROOT


def snippets(page: str) -> str:
    """Returns the Python snippets of a page, joined to one program.

    Args:
      page: Path of the page in the repository.
    """
    text = (ROOT / page).read_text()
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def run(
    page: str, given: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], list[str]]:
    """Runs the snippets of a page, and returns their names and the printed lines.

    Args:
      page: Path of the page in the repository.
      given: Names that the snippets use and the text explains.
    """
    names = dict(given or {})
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(snippets(page), page, "exec"), names)
    return names, output.getvalue().splitlines()


def promised_lines(page: str) -> list[str]:
    """Returns the comments after `print(…)`, which say what the call prints."""
    return re.findall(r"^print\(.*\)  # (.*)$", snippets(page), re.MULTILINE)
