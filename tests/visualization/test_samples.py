import json

from PIL import Image
from support.codecs import blocks

from jaxcorr.bitstream import compression
from jaxcorr.visualization import samples

SIZES = {"large.png": (170, 180), "small.png": (30, 40)}


def test_samples_are_files_decoded_images_a_table_and_a_figure(tiny_model, tmp_path):
    paths = [tmp_path / name for name in SIZES]
    for path, size in zip(paths, SIZES.values(), strict=True):
        Image.fromarray(blocks(*size)).save(path)
    text = samples.write_samples(tiny_model, paths, tmp_path / "samples")
    assert text.splitlines()[2].startswith("large.png")
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    images = ["large.jxc", "large.png", "small.jxc", "small.png"]
    assert names == ["comparison.png", *images, "table.json"]
    compressed = compression.compress(blocks(*SIZES["large.png"]), tiny_model)
    assert (tmp_path / "samples" / "large.jxc").read_bytes() == compressed
    with Image.open(tmp_path / "samples" / "small.png") as image:
        assert image.size == (40, 30)
    with Image.open(tmp_path / "samples" / "comparison.png") as image:
        assert image.size == (1300, 720)  # Two rows.
        assert len(set(image.convert("L").tobytes())) > 100
    assert len(json.loads((tmp_path / "samples" / "table.json").read_text())["images"])
