"""The choice among models agrees with coding with all of them and comparing the files.

The models are random codecs of rising rate and PSNR.
"""

import dataclasses

import numpy as np
import pytest
from support import codecs
from support.codecs import blocks

import jaxcorr
from jaxcorr.bitstream import coding, model_choice
from jaxcorr.bitstream.model_choice import CodedFile
from jaxcorr.bitstream.rate_target import RatePoint, RateTarget
from jaxcorr.bitstream.sections import pack_model_name
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast
IMAGES = {"large": blocks(120, 100), "small": blocks(40, 20, seed=1)}


@pytest.fixture(scope="module")
def models():
    return [
        dataclasses.replace(model, path=f"set@{number}")
        for number, model in enumerate(codecs.make_rates())
    ]


@pytest.fixture(scope="module")
def coded(models):
    """The file and the PSNR of each image with each model."""

    def code(model, image):
        container, _ = coding.encode(model, image)
        sections = pack_model_name(model.path)
        container = dataclasses.replace(container, sections=sections)
        decoded, _ = coding.decode(model, container)
        error = (image.astype(int) - decoded) ** 2
        return container.to_bytes(), 10 * np.log10(255**2 / error.mean())

    return {
        name: [code(model, image) for model in models] for name, image in IMAGES.items()
    }


def test_the_models_differ_in_rate_and_quality(coded):
    for files in coded.values():
        for values in [len(data) for data, _ in files], [psnr for _, psnr in files]:
            assert values == sorted(set(values))


@pytest.mark.parametrize("name", IMAGES)
def test_of_the_files_that_fit_the_one_of_the_best_quality_is_chosen(
    models, coded, name
):
    files, pixels = coded[name], IMAGES[name][..., 0].size
    for limit in {len(data) + step for data, _ in files for step in (-1, 0, 1)}:
        fitting = [file for file in files if len(file[0]) <= limit]
        if fitting:
            best = max(fitting, key=lambda file: file[1])[0]
            assert jaxcorr.compress(IMAGES[name], models, size=limit) == best
            bpp = 8 * limit / pixels
            assert jaxcorr.compress(IMAGES[name], models, bpp=bpp) == best


@pytest.mark.parametrize("name", IMAGES)
def test_of_the_files_that_are_good_enough_the_smallest_is_chosen(models, coded, name):
    files = coded[name]
    for limit in [psnr + step for _, psnr in files for step in (-1e-3, -1e-5, 1e-3)]:
        good = [file for file in files if file[1] >= limit]
        if good:
            smallest = min(good, key=lambda file: len(file[0]))[0]
            assert jaxcorr.compress(IMAGES[name], models, psnr=limit) == smallest


def test_each_image_of_a_list_has_a_model_of_its_own(models, coded):
    limit = len(coded["large"][0][0])
    files = jaxcorr.compress([*IMAGES.values()], models, size=limit)
    assert files == [coded["large"][0][0], coded["small"][2][0]]
    for data, image in zip(files, jaxcorr.decompress(files, models), strict=True):
        np.testing.assert_array_equal(
            image, jaxcorr.decompress(data, models[0 if len(data) == limit else 2])
        )


def test_the_order_of_the_models_does_not_matter_unless_they_tie(models, coded):
    limit = len(coded["large"][1][0])
    image = IMAGES["large"]
    assert jaxcorr.compress(image, models[::-1], size=limit) == coded["large"][1][0]
    same = [dataclasses.replace(models[1], path=path) for path in ("a", "b")]
    target = RateTarget("size", float(limit))
    assert model_choice.encode(same, image, target).model is same[0]


def test_an_impossible_size_is_refused_with_the_smallest_file(models, coded):
    smallest = min(len(data) for data, _ in coded["large"])
    message = (
        r"^no model codes image 2 of 2 in at most 200 bytes: files of the 3 models "
        rf"take from about {smallest} to \d+ bytes; raise size, or give other models$"
    )
    with pytest.raises(UserError, match=message):
        jaxcorr.compress([IMAGES["small"], IMAGES["large"]], models, size=200)


def test_an_impossible_psnr_is_refused_with_the_best_quality(models, coded):
    best = max(psnr for _, psnr in coded["large"])
    message = r"with at least 50 dB: files .* from about ([\d.]+) to ([\d.]+) dB; lower"
    with pytest.raises(UserError, match=message) as raised:
        jaxcorr.compress(IMAGES["large"], models, psnr=50)
    highest = float(str(raised.value).split(" to ")[1].split()[0])
    assert 0 <= best - highest <= 0.01
    assert jaxcorr.compress(IMAGES["large"], models, psnr=highest)


def test_a_single_model_is_verified(models, coded):
    data, psnr = coded["large"][1]
    image, model = IMAGES["large"], models[1]
    assert jaxcorr.compress(image, model, size=len(data)) == data
    assert jaxcorr.compress(image, model, psnr=psnr - 1e-5) == data
    message = (
        rf"files of set@1 take {len(data)} bytes; raise size, or give several models, "
        "such as a sweep$"
    )
    with pytest.raises(UserError, match=message):
        jaxcorr.compress(image, model, size=len(data) - 1)


def test_several_models_need_a_target(models):
    message = r"^set@0, set@1, set@2 are several models; choose one, or give a target"
    with pytest.raises(UserError, match=message):
        jaxcorr.compress(IMAGES["small"], models)
    with pytest.raises(UserError, match=r"^no model is given$"):
        jaxcorr.compress(IMAGES["small"], [])


def test_a_file_of_another_model_names_the_models_that_were_given(models, coded):
    message = (
        rf"^the file was made with model {models[2].fingerprint.hex()} \(set@2\), "
        r"not with one of 2 models \(set@0, set@1\): give that model"
    )
    with pytest.raises(UserError, match=message):
        jaxcorr.decompress(coded["small"][2][0], models[:2])


def choose(models, estimated, real, limit):
    """Chooses for a limit of bytes; returns the choice and the models coded with.

    The PSNR rises with the number of the model.
    """
    tried = []

    def point(number, size):
        return RatePoint(bytes=float(size), bpp=size / 100, psnr_db=float(number))

    def encode_with(model):
        number = models.index(model)
        tried.append(number)
        return CodedFile(model=model, data=b"", point=point(number, real[number]))

    estimates = [point(*pair) for pair in enumerate(estimated)]
    target = RateTarget("size", float(limit))
    chosen = model_choice._choose(models, estimates, target, encode_with, "a.png")
    return models.index(chosen.model), tried


@pytest.mark.parametrize(
    ("estimated", "real", "limit", "expected", "tried"),
    [
        # Good estimates: one model codes.
        ((100, 200, 300), (101, 202, 303), 250, 1, [1]),
        # The estimate of the best is below the limit, and its file above.
        ((100, 200, 300), (105, 206, 310), 305, 1, [2, 1]),
        # The file fits, though the estimate is a little above the limit.
        ((100, 200, 300), (98, 197, 295), 297, 2, [2]),
        # All estimates are too high, which the first file shows.
        ((100, 200, 300), (70, 140, 210), 210, 2, [1, 2]),
        # No estimate is near the limit, but files are.
        ((100, 200, 300), (50, 100, 150), 60, 0, [0]),
        ((100, 200, 300), (50, 100, 150), 97, 0, [0]),
        ((100, 200, 300), (50, 100, 150), 100, 1, [0, 1]),
    ],
)
def test_the_next_model_is_tried_where_an_estimate_was_wrong(
    models, estimated, real, limit, expected, tried
):
    assert choose(models, estimated, real, limit) == (expected, tried)


def test_a_refusal_follows_files_and_not_estimates_alone(models):
    with pytest.raises(UserError, match=r"from about 110 to 300 bytes"):
        choose(models, (100, 200, 300), (110, 200, 300), 50)
