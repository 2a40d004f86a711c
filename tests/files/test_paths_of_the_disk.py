"""No function of the package takes a URL for a path of the disk."""

import ast
from typing import Any

import pytest
from support.paths import ROOT

pytestmark = pytest.mark.fast

LOCAL = {
    "paths.py": "makes the paths of users",
    "cli/doctor.py:_find_folders": "the working directory",
    "cli/output.py:use_verbosity": "the null device",
    "data/built_in.py:_path": "files of the package",
    "data/folder_list.py:_read_kept": "a cache of the user",
    "data/tile_writer.py:_finish": "tiles, which are written to a disk",
    "files.py:_check_file": "a message about a file of the disk",
    "files.py:atomic_file": "a temporary file",
    "files.py:atomic_folder": "a folder of the disk, after the case of a bucket",
    "files.py:_temporary_path": "temporary files beside the target, or to upload",
    "hosts/native_errors.py:NativeErrors.__init__": "a descriptor",
    "hosts/run_lock.py:_lock_folder": "a lock of this host for a run in a bucket",
    "image_files.py:_scan": "a folder of the disk, after the case of a bucket",
    "model_store.py:store_folder": "models of the user, on the disk",
    "model_store.py:remove": "models of the user, on the disk",
    "model_store.py:_stored": "models of the user, on the disk",
    "runtime.py:exit_without_reader": "the null device",
    "runtime.py:_cache": "caches of the user",
    "start_record.py:_describe_file": "the repository of a config file of the disk",
    "training/profiler.py:Profiler._stop": "a temporary folder to upload",
    "training/weights_and_biases.py:WeightsAndBiases.close": "likewise",
}
"""Functions that work on paths of the disk, and on which."""
PATHS = {"Path", "pathlib.Path", "epath.Path"}
METHODS = {"resolve", "absolute", "rglob"}
"""Methods that make paths of the disk of a URL, or fail."""
OF_DISK = {"open", "io.open", "os.open", "os.listdir", "os.scandir", "os.walk"}
OF_DISK |= {"os.stat", "os.replace", "os.rename", "os.remove", "os.unlink", "os.link"}
OF_DISK |= {"os.mkdir", "os.makedirs", "os.rmdir", "os.symlink"}
"""Functions that know the disk alone, as all of `shutil`."""


def _is_local(call: ast.Call) -> bool:
    """Returns whether a path is made of literals, or of the place of the module."""
    return all(
        isinstance(argument, ast.Constant)
        or (isinstance(argument, ast.Name) and argument.id == "__file__")
        or (isinstance(argument, ast.Attribute) and argument.attr == "__file__")
        for argument in call.args
    )


class CallsOfTheDisk(ast.NodeVisitor):
    """Calls that would take a URL for a path of the disk, by function."""

    def __init__(self, module: str):
        self.scope, self.found = [module], []

    def visit_scope(self, node: Any) -> None:
        self.scope.append(node.name)
        self.generic_visit(node)
        self.scope.pop()

    visit_ClassDef = visit_FunctionDef = visit_AsyncFunctionDef = visit_scope

    def visit_Call(self, node: ast.Call) -> None:
        called = ast.unparse(node.func)
        owner, _, name = called.rpartition(".")
        is_method = bool(owner) and name in METHODS and called != "paths.absolute"
        is_of_disk = called in PATHS | OF_DISK or owner == "shutil"
        if is_method or (is_of_disk and not _is_local(node)):
            module, *functions = self.scope
            place = ":".join([module, ".".join(functions)]) if functions else module
            self.found.append((module, place, ast.unparse(node)))
        self.generic_visit(node)


def calls_of_the_disk() -> list[tuple[str, str, str]]:
    calls = []
    for file in sorted((ROOT / "jaxcorr").rglob("*.py")):
        visitor = CallsOfTheDisk(file.relative_to(ROOT / "jaxcorr").as_posix())
        visitor.visit(ast.parse(file.read_text()))
        calls += visitor.found
    return calls


def test_no_function_takes_what_a_user_gives_for_a_path_of_the_disk():
    """A `Path(URL)` would silently write to a folder `gs:` of the disk."""
    calls = calls_of_the_disk()
    assert [call for call in calls if not LOCAL.keys() & set(call[:2])] == []
    named = {name for call in calls for name in call[:2]}
    assert LOCAL.keys() <= named, "nothing is listed in vain"
