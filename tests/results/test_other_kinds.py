"""The comparison with JPEG on images of other kinds (`results/other_kinds`)."""

import dataclasses
import hashlib
import io
import zipfile

import color_cast
import compare
import jpeg
import make
import numpy as np
import page
import photographs
import pytest
from jpeg import Point
from PIL import Image

from jaxcorr import images
from jaxcorr.bitstream.coding_loop import DecodedLatents
from jaxcorr.data import built_in
from jaxcorr.errors import UserError
from jaxcorr.evaluation.measure import CodedImage, ImageMetrics

POINTS = [
    Point(quality=1, bytes=1000, psnr_db=30.0),
    Point(quality=2, bytes=3000, psnr_db=29.0),  # Larger and worse.
    Point(quality=3, bytes=4000, psnr_db=32.0),
    Point(quality=4, bytes=5000, psnr_db=35.0),
]


@pytest.fixture(scope="module")
def image():
    rng = np.random.default_rng(0)
    smooth = Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8))
    return np.asarray(smooth.resize((128, 128), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def sweep(image):
    return jpeg.sweep(image)


def test_half_the_db_between_two_sizes_needs_their_geometric_mean():
    assert jpeg.need(POINTS, 31.0).bytes == pytest.approx(2000)


@pytest.mark.parametrize(
    ("psnr_db", "size", "bound"), [(25, 1000, "<"), (40, 5000, ">")]
)
def test_a_psnr_that_no_quality_has_is_marked(psnr_db, size, bound):
    assert jpeg.need(POINTS, psnr_db) == jpeg.Need(bytes=size, bound=bound)


def test_a_jpeg_needs_its_own_bytes(sweep):
    for point in jpeg.frontier(sweep)[::10]:
        assert jpeg.need(sweep, point.psnr_db).bytes == pytest.approx(point.bytes)


def test_the_best_jpeg_within_a_limit_is_a_byte_below_the_next_one():
    assert jpeg.best_within(POINTS, 4999).bytes == 4000
    assert jpeg.best_within(POINTS, 3999).bytes == 1000
    assert jpeg.best_within(POINTS, 10).bytes == 1000


def test_a_sweep_is_measured_once_for_the_same_pixels(
    tmp_path, image, sweep, monkeypatch
):
    calls = []
    monkeypatch.setattr(jpeg, "sweep", lambda image: calls.append(1) or sweep)
    path = tmp_path / "jpeg.csv"
    assert jpeg.Sweeps(path).of(image) == sweep
    assert jpeg.Sweeps(path).of(image) == sweep
    assert len(calls) == 1
    jpeg.Sweeps(path).of(image[::-1])
    assert len(calls) == 2


def packed(tmp_path, pixels):
    """Returns a photograph in a wheel that is downloaded already."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    folder = tmp_path / "thing==1.0"
    folder.mkdir()
    with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("thing/a.png", buffer.getvalue())
    return photographs.Photograph(
        kind="macro",
        name="a",
        reduce=2,
        package="thing",
        version="1.0",
        distribution="wheel",
        member="thing/a.png",
        sha256=hashlib.sha256(buffer.getvalue()).hexdigest(),
        package_license="MIT",
    )


def test_a_photograph_is_read_from_a_wheel_and_reduced_by_means(tmp_path):
    pixels = np.repeat(np.array([[0, 100], [20, 200]], np.uint8)[..., None], 3, axis=-1)
    read = photographs.load(packed(tmp_path, pixels), tmp_path)
    assert read.tolist() == [[[80, 80, 80]]]


def test_a_changed_image_is_refused(tmp_path, image):
    photograph = dataclasses.replace(packed(tmp_path, image), sha256="0" * 64)
    with pytest.raises(
        UserError, match=r"a\.png of thing 1\.0 must have the SHA-256 0000"
    ):
        photographs.load(photograph, tmp_path)


def test_a_missing_image_is_refused(tmp_path, image):
    photograph = dataclasses.replace(packed(tmp_path, image), member="thing/b.png")
    with pytest.raises(UserError, match=r"thing-1.0.* holds no thing/b.png"):
        photographs.load(photograph, tmp_path)


def test_no_listed_photograph_is_one_to_train_on():
    listed = photographs.read_list()
    members = {(each.package, each.member.rpartition("/")[2]) for each in listed}
    assert not members & {("scikit-image", name) for name in built_in.TRAINING}
    assert len({f"{each.kind}/{each.name}" for each in listed}) == len(listed) >= 24
    assert all(len(each.sha256) == 64 for each in listed)


def test_an_image_that_cannot_be_fetched_does_not_stop_the_others(
    tmp_path, image, monkeypatch, capsys
):
    def refuse(photograph, downloads):
        raise UserError("no network")

    monkeypatch.setattr(photographs, "download", refuse)
    monkeypatch.setattr(make, "DRAWN", {"drawings/a": lambda: image})
    output = tmp_path / "images"
    missing = make.main(make.Settings(output=output, downloads=tmp_path))
    assert missing == len(photographs.read_list())
    assert [path.name for path in output.rglob("*.png")] == ["a.png"]
    assert "macro/dahlia is missing: no network" in capsys.readouterr().err


@pytest.mark.parametrize("name", make.DRAWN)
def test_drawings_have_detail_and_the_size_that_is_kept(name):
    picture = make.DRAWN[name]()
    assert picture.dtype == np.uint8
    assert make.crop(picture).shape == picture.shape == (384, 512, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 50


def test_crops_are_the_middle():
    image = np.arange(130 * 700, dtype=np.uint32).reshape(130, 700, 1)
    assert (make.crop(image) == image[1:129, 94:606]).all()


def test_brightness_is_no_cast_and_a_shift_of_one_channel_is():
    image = np.full((64, 96, 3), 100, np.uint8)
    brighter, redder = image + np.uint8(9), image.copy()
    redder[32:, 64:, 0] += 3
    assert color_cast.largest_cast(image, brighter) == 0
    assert color_cast.block_casts(image, redder).tolist() == [[0, 0, 0], [0, 0, 2]]
    assert color_cast.channel_differences(image, redder).tolist() == [0.5, 0, 0]
    rows, columns = color_cast.worst_crop(image, redder, side=40)
    assert (rows, columns) == (slice(24, 64), slice(56, 96))


def latents_of(symbols):
    zeros = np.zeros(symbols.shape)
    return DecodedLatents(
        side_symbols=np.zeros((2, 2, 1), np.int32),
        symbols=symbols.astype(np.int32),
        latent_hat=zeros,
        predictions=(zeros, zeros + 2),
    )


def test_the_offset_share_is_1_for_constant_latents_and_0_without_a_mean():
    constant = np.full((8, 8, 2), (3, -1))
    alternating = np.indices((8, 8)).sum(axis=0)[..., None] % 2 * 2 - 1
    assert compare.offset_share(latents_of(constant)) == pytest.approx(1)
    assert compare.offset_share(latents_of(alternating)) == pytest.approx(0)
    assert compare.offset_share(latents_of(constant[:6])) is None


def test_a_model_with_the_files_of_jpeg_has_a_ratio_of_1(tmp_path, image, sweep):
    point = jpeg.frontier(sweep)[20]
    coded = CodedImage(
        metrics=ImageMetrics(
            file="macro/a.png",
            width=128,
            height=128,
            bytes=point.bytes,
            bpp=point.bytes / 2048,
            psnr_db=point.psnr_db,
        ),
        data=b"",
        reconstruction=jpeg.CODEC.decode(
            jpeg.CODEC.encode(image, float(point.quality))
        ),
        latents=latents_of(np.zeros((8, 8, 1))),
    )
    sweeps = jpeg.Sweeps(tmp_path / "jpeg.csv")
    row = compare.compare("model", image, coded, sweeps)
    assert (row.kind, row.bound) == ("macro", "")
    assert row.ratio == pytest.approx(1)

    figure = page.Figure()
    page.draw(figure.subplots(1, 3), image, coded, sweeps)
    titles = [axis.get_title().partition(": ")[2] for axis in figure.axes]
    assert titles[1] == titles[2] != ""


def test_a_sweep_with_the_files_of_jpeg_has_a_bd_rate_of_0(
    tmp_path, image, sweep, capsys
):
    images.write_image(tmp_path / "macro" / "a.png", image)
    rows = [
        compare.Comparison(
            model=f"model@{number}",
            kind="macro",
            file="macro/a.png",
            bpp=point.bytes / 2048,
            psnr_db=point.psnr_db,
            jpeg_bpp=1.0,
            bound="",
            correlation=None,
            offset_share=None,
            cast=0.0,
        )
        for number, point in enumerate(jpeg.frontier(sweep))
    ]
    sweeps = jpeg.Sweeps(tmp_path / "jpeg.csv")
    compare.print_bd_rates(rows[:3], tmp_path, sweeps)
    assert not capsys.readouterr().out
    compare.print_bd_rates(rows, tmp_path, sweeps)
    assert float(capsys.readouterr().out.split()[-2]) == 0
