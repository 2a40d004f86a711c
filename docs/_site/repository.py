"""Files of the repository that become pages of the site, and links to them."""

import posixpath
import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import nbformat

ROOT = Path(__file__).resolve().parents[2]

PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "results/benchmarks.md",
    "benchmarks/accelerator.md": "results/accelerator.md",
    "jaxcorr/demo/README.md": "results/demo.md",
    "results/README.md": "results/study.md",
    "results/kodak/README.md": "results/pairs.md",
    "results/recipe/README.md": "results/recipe.md",
} | {
    f"colab/{path.name}": f"tutorials/{path.stem}.md"
    for path in sorted((ROOT / "colab").glob("*.ipynb"))
}
"""Pages of the site that lie outside `docs`, by their paths in the repository."""

DOCS = "docs/"
FILES = "files/"
"""Folder of the site for pictures and notebooks that pages link to."""

DOWNLOADS = (".ipynb", ".gif", ".jpg", ".png", ".svg", ".webp")
_LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]+`)"
    r"|\[(?P<text>(?:[^\[\]`\n]|`[^`\n]+`|\n(?!\n))*)\]\((?P<target>[^()\s]+)\)",
    re.DOTALL | re.MULTILINE,
)


def source_of(uri: str) -> str:
    """Returns the path in the repository of a page of the site."""
    sources = {page: source for source, page in PAGES.items()}
    return sources.get(uri, DOCS + uri)


def uri_of(path: str, *, linked_from: str) -> str | None:
    """Returns the path in the site of a file of the repository; None if it has none.

    Args:
      path: Path of the file in the repository.
      linked_from: Path of the page that links to it. A notebook's own page links to the
        notebook.
    """
    if path in PAGES and path != linked_from:
        return PAGES[path]
    if path.startswith(DOCS):
        return path.removeprefix(DOCS)
    return FILES + path if path.endswith(DOWNLOADS) else None


def read_page(path: str) -> str:
    """Returns the Markdown of a page or a notebook of the repository."""
    text = (ROOT / path).read_text()
    if not path.endswith(".ipynb"):
        return text
    parts = [f"[The notebook]({path.rpartition('/')[2]})"]
    for cell in nbformat.reads(text, as_version=4).cells:
        code = cell.cell_type == "code"
        parts.append(f"```python\n{cell.source}\n```" if code else cell.source)
    # The title comes first.
    return "\n\n".join([parts[1], parts[0], *parts[2:]]) + "\n"


def linked_paths(markdown: str, source: str) -> set[str]:
    """Returns the files of the repository that a page links to.

    Args:
      markdown: Text of the page.
      source: Path of the page in the repository.
    """
    targets = [m["target"] for m in _LINK.finditer(markdown) if m["target"]]
    return {path for target in targets if (path := _resolve(target, source))}


def rewrite_links(markdown: str, uri: str) -> str:
    """Returns the text of a page with links that work in the site.

    Links to pages and pictures become links inside the site. Other files are linked in
    the repository, if the project has an address, and lose their link otherwise.

    Args:
      markdown: Text of the page, with links as in the repository.
      uri: Path of the page in the site.

    Raises:
      FileNotFoundError: If a link leads nowhere.
    """
    source = source_of(uri)
    address = repository_address()

    def rewrite(match: re.Match[str]) -> str:
        if match["code"]:
            return match[0]
        path = _resolve(match["target"], source)
        if path is None:
            return match[0]
        if not (ROOT / path).exists():
            raise FileNotFoundError(f"{source} links to {path}, which does not exist")
        anchor = urlsplit(match["target"]).fragment
        anchor = f"#{anchor}" if anchor else ""
        target = uri_of(path, linked_from=source)
        if target is not None:
            relative = posixpath.relpath(target, posixpath.dirname(uri) or ".")
            return f"[{match['text']}]({relative}{anchor})"
        if address:
            return f"[{match['text']}]({address}/blob/main/{path})"
        return match["text"]

    return _LINK.sub(rewrite, markdown)


def repository_address() -> str | None:
    """Returns the address of the repository; None as long as it has none."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    return project.get("urls", {}).get("Repository")


def _resolve(target: str, source: str) -> str | None:
    """Returns the path in the repository of a relative link, if it is one."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or not parts.path:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), parts.path))
