"""Runs the Python snippets of a page of the documentation."""

import contextlib
import io
import re
from typing import Any

from support.paths import ROOT


def snippets(page: str) -> str:
    """Returns the Python snippets of a page, joined to one program."""
    text = (ROOT / "docs" / page).read_text()
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def run(page: str) -> tuple[dict[str, Any], list[str]]:
    """Runs the snippets of a page, and returns their names and the printed lines."""
    names: dict[str, Any] = {}
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(snippets(page), page, "exec"), names)
    return names, output.getvalue().splitlines()


def promised_lines(page: str) -> list[str]:
    """Returns the comments after `print(…)`, which say what the call prints."""
    return re.findall(r"^print\(.*\)  # (.*)$", snippets(page), re.MULTILINE)
