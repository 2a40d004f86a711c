"""The names of `import jaxcorr`, which users complete with the Tab key."""

import ast
import importlib.metadata
import inspect
import pkgutil
import subprocess
import sys

import pytest
from support.paths import ROOT

import jaxcorr
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast
ISOLATED = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"jax", "jaxtyping", "numpy", "flax"}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
before = set(sys.modules)
import jaxcorr
added = {name.partition(".")[0] for name in set(sys.modules) - before}
print(sorted(added - sys.stdlib_module_names))
"""


def typed_imports() -> dict[str, str]:
    """Returns the module of each name that type checkers see."""
    tree = ast.parse((ROOT / "jaxcorr" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "_typing.TYPE_CHECKING"
    return {
        alias.name: str(node.module)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_all_the_lazy_table_and_the_types_agree():
    assert jaxcorr.__all__ == sorted(jaxcorr.__all__)
    assert list(jaxcorr._MODULES) == jaxcorr.__all__
    lazy = {name: f"jaxcorr.{module}" for name, module in jaxcorr._MODULES.items()}
    assert lazy == typed_imports()


@pytest.mark.parametrize("name", jaxcorr.__all__)
def test_every_public_name_is_defined_in_its_module_with_a_docstring(name):
    value = getattr(jaxcorr, name)
    assert value.__module__ == f"jaxcorr.{jaxcorr._MODULES[name]}"
    assert inspect.getdoc(value)


def test_completion_offers_public_names_only():
    names = [name for name in dir(jaxcorr) if not name.startswith("__")]
    assert names == jaxcorr.__all__
    # Some completers read the names of a module instead of calling `dir`.
    others = {name for name in vars(jaxcorr) if not name.startswith("_")}
    submodules = {module.name for module in pkgutil.iter_modules(jaxcorr.__path__)}
    # The hook that checks types in tests adds `jaxtyping`.
    assert others - submodules - {*names, "jaxtyping"} == set()


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(
        AttributeError, match=r"^module 'jaxcorr' has no attribute 'x'$"
    ) as caught:
        jaxcorr.x  # noqa: B018  # pyright: ignore
    # With both, Python suggests a similar name.
    assert (caught.value.name, caught.value.obj) == ("x", jaxcorr)


def test_the_version_is_that_of_the_distribution(monkeypatch):
    assert jaxcorr.__version__ == importlib.metadata.version("jaxcorr")

    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert jaxcorr.__version__ == "unknown"


def test_importing_the_package_loads_nothing_and_needs_nothing():
    done = subprocess.run(
        [sys.executable, "-c", ISOLATED], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("['jaxcorr']\n", "")


def test_a_missing_extra_is_named_with_the_public_name(monkeypatch):
    import_module = importlib.import_module

    def without_grain(name):
        if name == "jaxcorr.trainer":
            raise ModuleNotFoundError("No module named 'grain'", name="grain")
        return import_module(name)

    monkeypatch.setattr(importlib, "import_module", without_grain)
    message = r"^jaxcorr\.train needs grain, .*: pip install 'jaxcorr\[train\]'$"
    with pytest.raises(UserError, match=message):
        jaxcorr.train  # noqa: B018


def test_every_sub_package_says_what_is_stable():
    for module in pkgutil.iter_modules(jaxcorr.__path__):
        if module.ispkg:
            package = importlib.import_module(f"jaxcorr.{module.name}")
            paragraphs = str(package.__doc__).split("\n\n")
            assert paragraphs[1].startswith(("Internal: ", "Stable: ")), module.name
