import numpy as np
import pytest
from support.image_folders import settings

from jaxcorr import images
from jaxcorr.data import built_in, sources
from jaxcorr.data.sources import DataConfig
from jaxcorr.errors import UserError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"source": "folders:x"},
            r"DataConfig\.source must be builtin, folder:DIR, arrayrecord",
        ),
        ({"source": "folder:"}, r"DataConfig\.source must be .* is 'folder:'"),
        ({"held_out": "chelsea"}, r"DataConfig\.held_out must be .* is 'chelsea'"),
        (
            {"crop_size": 100},
            r"DataConfig\.crop_size must be a multiple of 64, but is 100",
        ),
        ({"crop_size": 0}, r"DataConfig\.crop_size must be a multiple of 64, but is 0"),
        ({"batch_size": 0}, r"DataConfig\.batch_size must be at least 1, but is 0"),
        ({"workers": -1}, r"DataConfig\.workers must be at least 0, but is -1"),
        ({"seed": -1}, r"DataConfig\.seed must be in .* but is -1"),
    ],
)
def test_a_setting_out_of_range_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        settings(**changes)


@pytest.mark.fast
def test_built_in_training_and_held_out_photographs_are_disjoint():
    training = sources.training_source(DataConfig())
    held_out = sources.held_out_source(DataConfig())
    assert (len(training), len(held_out)) == (15, 2)
    assert not set(built_in.TRAINING) & set(built_in.HELD_OUT)
    for index, path in enumerate(built_in.held_out_paths()):
        image, _ = images.read_image(path)
        np.testing.assert_array_equal(held_out[index], image)


def test_built_in_photographs_smaller_than_a_crop_are_skipped():
    source = sources.training_source(DataConfig(crop_size=512))
    assert 0 < len(source) < 15
    assert all(min(source[i].shape[:2]) >= 512 for i in range(len(source)))
    with pytest.raises(UserError, match="must be at most 1411"):
        sources.training_source(DataConfig(crop_size=2048))


@pytest.mark.parametrize("source", ["folder:nowhere", "arrayrecord:nowhere"])
def test_a_missing_folder_is_named_with_its_flag(source):
    message = (
        f"nowhere is not a directory: give another --data.source, which is {source}"
    )
    with pytest.raises(UserError, match=message):
        sources.training_source(DataConfig(source=source))
    with pytest.raises(UserError, match=r"give another --data\.held-out"):
        sources.held_out_source(DataConfig(held_out=source))
