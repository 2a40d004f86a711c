"""Events of MkDocs: adds pages from outside `docs`, and checks what it cannot check."""

import re
from typing import Any

import reference
import repository
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

GENERATED = {
    "reference/settings.md": reference.settings_tables,
    "reference/commands.md": reference.command_helps,
}
"""Pages that end with text from the code, and the functions that write it."""

API = "reference/api.md"
_IMAGE = re.compile(r"!\[([^\]]*)\]\(|<img(?![^>]*\balt=\"[^\"]+\")")
_NAME = re.compile(r"<code>([^<\s]{1,36})</code>")
_FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


@event_priority(100)
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds files of the repository that are pages or pictures."""
    for source, uri in repository.PAGES.items():
        _add(files, config, source, uri)
    pages = [file.src_uri for file in files if file.src_uri.endswith(".md")]
    for uri in pages:
        source = repository.source_of(uri)
        if (repository.ROOT / source).is_file():
            markdown = repository.read_page(source)
            for linked in sorted(repository.linked_paths(markdown, source)):
                target = repository.uri_of(linked, linked_from=source)
                if target and files.get_file_from_path(target) is None:
                    _add(files, config, linked, target)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Adds text from the code, rewrites links, and checks pictures and public names."""
    uri = page.file.src_uri
    if uri in GENERATED:
        try:
            markdown = f"{markdown}\n{GENERATED[uri]()}"
        except LookupError as error:
            raise PluginError(str(error)) from error
    for match in _IMAGE.finditer(_FENCE.sub("", markdown)):
        if not match[1]:
            raise PluginError(f"{uri}: a picture has no alternative text")
    if uri == API:
        _check_public_names(markdown)
    try:
        return repository.rewrite_links(markdown, uri)
    except FileNotFoundError as error:
        raise PluginError(str(error)) from error


def on_page_content(html: str, **_: Any) -> str:
    """Marks short code without spaces, which `site.css` keeps on one line."""
    return _NAME.sub(r'<code class="whole">\1</code>', html)


def _add(files: Files, config: MkDocsConfig, source: str, uri: str) -> None:
    path = repository.ROOT / source
    if not path.is_file():
        raise PluginError(f"{source} does not exist, but the site shows it")
    if uri.endswith(".md"):
        text = repository.read_page(source)
        files.append(File.generated(config, uri, content=text))
    else:
        files.append(File.generated(config, uri, abs_src_path=str(path)))


def _check_public_names(markdown: str) -> None:
    """Checks that the reference has every public name, and that each is documented."""
    import jaxcorr

    listed = set(re.findall(r"^::: jaxcorr\.(\S+)$", markdown, re.MULTILINE))
    names = {name for name in jaxcorr.__all__ if not name.startswith("_")}
    if missing := sorted(names - {name.rpartition(".")[2] for name in listed}):
        raise PluginError(f"{API} does not list {', '.join(missing)}")
    for name in sorted(listed):
        if not reference.documented(f"jaxcorr.{name}").has_docstring:
            raise PluginError(f"jaxcorr.{name} has no docstring")
