"""Figures in the pages are those of the committed tables, and change with them."""

import importlib.util
import json
import re
import subprocess
import sys

import pytest
from support.paths import ROOT

from jaxcorr.report.tables import Table

SCRIPT = ROOT / "docs" / "_site" / "figures.py"


@pytest.fixture(scope="module")
def figures():
    """The script, as a module."""
    before = [*sys.path]
    sys.path.insert(0, str(SCRIPT.parent))
    spec = importlib.util.spec_from_file_location("site_figures", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path[:] = before
    return module


@pytest.fixture
def changed(figures, tmp_path, monkeypatch):
    """Changes the table of figures by a function of its text."""

    def change(function):
        path = tmp_path / "figures.csv"
        path.write_text(function(figures.CSV.read_text()))
        monkeypatch.setattr(figures, "CSV", path)
        figures.render.cache_clear()

    yield change
    monkeypatch.undo()
    figures.render.cache_clear()


def page(tmp_path, name, content=""):
    path = tmp_path / "page.md"
    path.write_text(
        f"Before.\n\n<!-- figures: {name} -->\n{content}<!-- end of figures -->\n"
        "After.\n"
    )
    return path


def test_pages_hold_the_committed_figures():
    done = subprocess.run(
        [sys.executable, SCRIPT, "--check"], capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_every_table_of_figures_is_on_a_page(figures):
    shown = {
        name
        for path in figures.pages()
        for name in re.findall(r"^<!-- figures: (\S+) -->$", path.read_text(), re.M)
    }
    tables = {row["table"] for row in figures.read_figures(figures.CSV)}
    assert tables <= shown


def test_a_block_is_filled_and_then_is_not_stale(figures, tmp_path):
    path = page(tmp_path, "cold_start", "| old |\n")
    assert figures.update([path], write=False) == [f"{path}: block cold_start is stale"]
    assert "| old |" in path.read_text()
    figures.update([path], write=True)
    lines = path.read_text().splitlines()
    assert lines[0] == "Before." and lines[-1] == "After."
    assert "| one photograph | time (s) |" in lines
    assert "| first start | 3.1 |" in lines
    assert any("`python benchmarks/cold_start.py RUN IMAGE`" in line for line in lines)
    assert figures.update([path], write=False) == []


def test_a_changed_figure_is_noticed(figures, changed, tmp_path):
    path = page(tmp_path, "cold_start", figures.render("cold_start"))
    assert figures.update([path], write=False) == []
    changed(
        lambda text: text.replace(",first start,time,3.1,", ",first start,time,3.2,")
    )
    assert figures.update([path], write=False) == [f"{path}: block cold_start is stale"]


def test_a_typed_figure_is_noticed(figures, tmp_path):
    typed = figures.render("cold_start").replace("3.1", "3.0")
    path = page(tmp_path, "cold_start", typed)
    assert figures.update([path], write=False) == [f"{path}: block cold_start is stale"]


def test_units_are_in_the_header_unless_they_differ(figures):
    assert "| context model | encode (s) |" in figures.render("coding")
    assert "| passes |" in figures.render("coding")
    assert "| transforms (million parameters) | none |" in figures.render("parameters")
    assert "| 63 bytes |" in figures.render("files")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda text: text.replace(",3.1,", ",fast,"), "'fast' is not a number"),
        (lambda text: text + text.splitlines()[-1] + "\n", "is there twice"),
        (
            lambda text: text.replace("cold_start.py RUN", "other.py RUN", 1),
            "a table has one command",
        ),
        (lambda text: text.replace("table,", "name,", 1), "must have the columns"),
    ],
)
def test_a_damaged_table_is_refused(figures, changed, function, message):
    changed(function)
    with pytest.raises(figures.FiguresError, match=message):
        figures.read_figures(figures.CSV)


def test_an_unknown_block_is_refused(figures, tmp_path):
    with pytest.raises(figures.FiguresError, match="no figures named nothing; there"):
        figures.update([page(tmp_path, "nothing")], write=False)


def test_a_block_without_end_is_refused(figures, tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- figures: coding -->\n| a |\n")
    with pytest.raises(figures.FiguresError, match="no start or no end"):
        figures.update([path], write=False)


def test_effect_of_the_loss_is_that_of_the_study(figures):
    table: Table = figures.computed_figures.loss().table
    means = {row[0]: row[1] for row in table.rows}
    study = (ROOT / "results" / "kodak" / "README.md").read_text()
    (row,) = re.findall(r"^\| 10,000 \| 8 \|(.*)\|$", study, re.M)
    kodak, held_out, _, bd_rates = (cell.strip() for cell in row.split("|"))
    assert kodak.startswith(means["bpp + λ MSE, files of Kodak"])
    assert held_out.startswith(means["bpp + λ MSE, held-out crops"])
    assert bd_rates == ", ".join(table.rows[2][2:])


def test_rates_of_the_demo_are_those_of_the_packaged_models(figures):
    measured = figures.computed_figures.demo_measure.read_table()
    packaged = [
        json.loads((ROOT / "jaxcorr" / "demo" / f"{n}" / "config.json").read_text())
        for n in range(4)
    ]
    found = [{row.fingerprint for row in rows} for rows in measured.values()]
    assert found == [{config["fingerprint"]} for config in packaged]
    table: Table = figures.computed_figures.demo().table
    assert [row[0] for row in table.rows] == [f"demo@{n}" for n in range(4)]
    for (_, bpp, *_, change), rows in zip(table.rows, measured.values(), strict=True):
        assert bpp == f"{sum(row.bpp for row in rows) / 24:.3f}"
        assert float(change.split()[0]) < 0
