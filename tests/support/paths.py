"""Folders of the repository, and data that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
REFERENCES = ROOT / "tests" / "references"
SCRIPTS = Path(__file__).parent / "scripts"
"""Programs that tests run in other processes, some with other versions of Python."""
