"""The command `jaxcorr show`."""

import pytest
from PIL import Image
from support.codecs import blocks

from jaxcorr import images, saved_model

SIZE = (130, 170)


def test_show_draws_one_model_and_two(jaxcorr, model_path, tiny_model, tmp_path):
    Image.fromarray(blocks(*SIZE)).save(tmp_path / "a.png")
    other = {name: 0.9 * array for name, array in tiny_model.parameters.items()}
    second = saved_model.make_model(tiny_model.config, other)
    saved_model.write_model(tmp_path / "second", second)

    status, out, err = jaxcorr("show", "a.png", "-m", model_path)
    assert status == 0, err
    assert "drawn in a-shown.png" in out and " y + " in out
    one = images.read_image(tmp_path / "a-shown.png")[0].shape
    status, out, err = jaxcorr(
        "show", "a.png", "-m", model_path, "-m", "second", "-o", "two.png"
    )
    assert status == 0, err
    assert "second against first: " in out
    two = images.read_image(tmp_path / "two.png")[0].shape
    assert two[1] == one[1] and two[0] > 1.5 * one[0]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give one or two models"),
        (["-m", "a", "-m", "b", "-m", "c"], "give one or two models"),
        (["-m", "a", "-m", "a"], "the two models must differ, but both are a"),
        (["-m", "MODEL", "-o", "x.jpg"], "x.jpg must end in .png"),
        (["-m", "MODEL", "-o", "a.png"], "a.png would replace an input"),
        (["-m", "nowhere"], "nowhere is not a directory"),
        # The model is checked before the output.
        (["-m", "nowhere", "-o", "x.jpg"], "nowhere is not a directory"),
    ],
)
def test_impossible_arguments_are_refused(
    jaxcorr, model_path, tmp_path, arguments, message
):
    Image.fromarray(blocks(8, 8)).save(tmp_path / "a.png")
    given = [model_path if value == "MODEL" else value for value in arguments]
    status, out, err = jaxcorr("show", "a.png", *given)
    assert (status, out) == (2, "")
    assert message in err and err.count("\n") == 1
