"""The table of the study by branches compares each arm with its own checkpoint."""

import importlib.util
import math
import sys

import pytest
from support.paths import ROOT

FOLDER = ROOT / "results" / "branches"
HEAD = "weight,image,bpp_y,bpp_z,mse,correlation,centered,normalized_square\n"

pytestmark = pytest.mark.fast


@pytest.fixture
def table(tmp_path, monkeypatch):
    """The script, which reads tables below a temporary folder."""
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("whole_images", "study", "changes"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location(
        "branches_table", FOLDER / "changes.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "branches_table", module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module.study, "FOLDER", tmp_path)
    yield module
    for name in ("whole_images", "study"):
        sys.modules.pop(name, None)


def write(folder, name, rows):
    (folder / name).mkdir()
    lines = [f"{weight},{image},{bpp},0,0,0,0,1\n" for weight, image, bpp in rows]
    (folder / name / "val.csv").write_text(HEAD + "".join(lines))


def test_a_change_is_relative_to_the_same_checkpoint_and_image(table, tmp_path):
    write(tmp_path, "none-6000-0.0067-published", [(0, 0, 1), (0, 1, 4), (1, 0, 2)])
    with pytest.raises(ValueError, match="zip"):  # An image is missing.
        table.comparison()


def test_pairs_give_a_mean_and_half_an_interval(table, tmp_path):
    for step, factor in ((6000, 1.01), (7000, 1.03)):
        rows = [(0, 0, 1.0), (0, 1, 4.0), (1, 0, factor), (1, 1, 4 * factor)]
        write(tmp_path, f"none-{step}-0.0067-published", rows)
        write(tmp_path, f"none-{step}-0.0067-noise", [(0, 0, 1.0), (0, 1, 4.0)])
    published, noise = table.comparison().rows
    changes = [100 * math.log(1.01), 100 * math.log(1.03)]
    mean, difference = sum(changes) / 2, changes[1] - changes[0]
    half = 12.7062 * difference / 2  # Student's t with one degree of freedom.
    assert published[:3] == ("none", "0.0067", "published 1")
    assert published[3] == f"{mean:+.2f} ± {half:.2f} %"
    assert published[4:] == ("0.0000", "0.0000", "1.00", "1.00")
    assert noise[2:4] == ("noise 0", "+0.00 ± 0.00 %")


def test_without_tables_the_remedy_is_named(table):
    with pytest.raises(SystemExit, match=r"run study\.py"):
        table.comparison()
