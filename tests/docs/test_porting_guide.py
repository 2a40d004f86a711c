"""The numbers in the porting guide agree with the definition and with the code."""

import re
from math import log

import jax
import numpy as np
import pytest
from support.paths import ROOT
from support.reference_loss import (
    PUBLISHED_WITH_LOSS,
    PUBLISHED_WITHOUT_LOSS,
    looped_maps,
    weights_of,
)

from jaxcorr import compatibility, correlation, correlation_variants, whitening

GUIDE = (ROOT / "docs" / "porting.md").read_text()
MASKS = ("point", "short_cross", "box", "long_cross")


@pytest.fixture(scope="module")
def arrays():
    """Latents, means and scales by the guide's code."""
    names = run_snippet("latent = ")
    return names["latent"], names["mean"], names["scale"]


def run_snippet(text):
    """Runs the only snippet of the guide that has a text, and returns its names."""
    snippets = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    (snippet,) = [snippet for snippet in snippets if text in snippet]
    names = {}
    exec(snippet, names)
    return names


def stated(start):
    """Returns the numbers in the last cell of the last table row that starts so."""
    rows = [line for line in GUIDE.splitlines() if line.startswith(f"| {start}")]
    row = rows[-1]
    return [float(number) for number in row.split("|")[-2].split(",")]


def floats(values):
    return [*map(float, values)]


def loss_by_loops(arrays, *, window=7, mask="point", scale_bound=0.11):
    latent, mean, scale = arrays
    maps = looped_maps((latent - mean) / np.maximum(scale, scale_bound), window)
    return np.sum((weights_of(mask, window) * maps.mean(axis=0)) ** 2)


@pytest.mark.parametrize("window", [3, 5, 7])
def test_losses_of_all_masks_and_windows_are_as_stated(arrays, window):
    row = re.search(rf"\n\| {window} \|(.*)\|\n", GUIDE)[1]  # type: ignore
    for mask, cell in zip(MASKS, row.split("|"), strict=True):
        if cell.strip() == "refused":
            with pytest.raises(ValueError, match="at least one cell"):
                correlation.correlation_loss(*arrays, window=window, mask=mask)
            continue
        by_loops = loss_by_loops(arrays, window=window, mask=mask)
        assert float(cell) == pytest.approx(by_loops, abs=1e-6)
        with compatibility.enable_x64(True):
            loss = correlation.correlation_loss(*arrays, window=window, mask=mask)
        assert float(cell) == pytest.approx(float(loss), abs=1e-6)


def test_other_values_are_as_stated(arrays):
    scale = arrays[2]
    assert f"{np.sum(scale < 0.11)} of the {scale.size} scales" in GUIDE
    with compatibility.enable_x64(True):
        z = np.asarray(correlation.normalize(*arrays))
        assert stated("mean of u²") == pytest.approx([(z**2).mean()], abs=1e-6)
        map = correlation.correlation_map(z, window=3)
        cells = [map[0, 0], map[0, 1], map[1, 0]]
        assert stated("cells [0, 0]") == pytest.approx(floats(cells), abs=1e-6)
        gradients = jax.grad(correlation.correlation_loss, argnums=(0, 1, 2))(*arrays)
        at = [gradient[0, 4, 4, 1] for gradient in gradients]
        assert stated("derivatives with respect") == pytest.approx(floats(at), abs=1e-6)
        sums = [abs(gradients[0]).sum(), abs(gradients[2]).sum()]
        assert stated("sums of the absolute derivatives") == pytest.approx(
            floats(sums), abs=1e-6
        )
        own = correlation.correlation_loss(*arrays, pool_channels=False)
        assert stated("mean over channels") == pytest.approx([float(own)], abs=1e-6)
        assert (
            stated("gradients of two replicas")
            == stated("sums of the absolute derivatives")[:2]
        )
        assert np.sum(scale == 0.5) == 62
        gradient = jax.grad(correlation.correlation_loss, argnums=2)(
            *arrays, scale_bound=0.5
        )
        assert stated(
            "sum of the absolute derivatives with respect to scale"
        ) == pytest.approx([float(abs(gradient).sum())], abs=1e-6)
    high = loss_by_loops(arrays, scale_bound=0.2)
    assert stated("loss with a scale bound") == pytest.approx([high], abs=1e-6)
    images = [loss_by_loops([a[[i]] for a in arrays]) for i in range(2)]
    assert stated("mean of the losses") == pytest.approx([sum(images) / 2], abs=1e-6)
    wrong = loss_by_loops([np.moveaxis(a, -1, 1) for a in arrays], window=3)
    assert stated("loss for a window of 3") == pytest.approx([wrong], abs=1e-6)


def test_values_of_variants_are_as_stated(arrays):
    def near(start, values, digits=6):
        assert stated(start) == pytest.approx(floats(values), abs=10**-digits)

    unbiased = correlation_variants.unbiased_correlation_loss
    with compatibility.enable_x64(True):
        losses = [unbiased(*arrays, window=window) for window in (3, 7)]
        near("unbiased loss for windows", losses)
        first = [array[:1] for array in arrays]
        near("unbiased loss of the first image", [unbiased(*first, window=3)])
        gradients = jax.grad(unbiased, argnums=(0, 2))(*arrays, window=3)
        near("sums of its absolute", [abs(gradient).sum() for gradient in gradients])
        z = correlation.normalize(*arrays)
        weight = correlation_variants.natural_weight((z**2).mean(), channels=3)
        near("α* of v above", [weight], digits=9)
        moments = whitening.neighbor_moments(z)
        near("G of channel 0", moments[0, 12, [0, 12, 13]])
        near("bits of the channels by", whitening.whitening_bits(moments))
        bits = whitening.whitening_bits(moments, offset=True)
        near("bits of the channels with", bits)

        def averaged(latent, scale):
            first = correlation.normalize(latent[:1], arrays[1][:1], scale[:1])
            own, average = map(whitening.neighbor_moments, (first, z[1:]))
            estimate = jax.lax.stop_gradient(average - own) + own
            bits = whitening.whitening_bits(estimate)
            return bits.sum(), bits

        gradients, bits = jax.grad(averaged, argnums=(0, 1), has_aux=True)(
            arrays[0], arrays[2]
        )
        near("bits of the channels at the G", bits)
        near("sums of their absolute", [abs(gradient).sum() for gradient in gradients])
        losses = [
            whitening.whitening_loss(z, offset=offset) for offset in (False, True)
        ]
        near("whitening loss at stride 16", losses, digits=9)


def test_products_per_offset_and_weights_are_as_stated(capsys):
    names = run_snippet("def products")
    printed = re.findall(r"floor (\S+)", capsys.readouterr().out)
    sentence = re.search(r"It prints (\S+) for 8 .*, (\S+) for 2 .* and (\S+)", GUIDE)
    assert sentence is not None and list(sentence.groups()) == printed
    z = jax.random.normal(jax.random.key(0), (200, 2, 16, 16, 4))
    losses = jax.lax.map(
        lambda z: correlation.masked_norm(correlation.correlation_map(z), "point"), z
    )
    floor = names["floor"](names["products"](2, 256, 4))
    assert abs(losses.mean() / floor - 1) < 0.1
    row = re.search(r"\| α\* for v = 1 \|(.*)\|", GUIDE)[1]  # type: ignore
    for channels, cell in zip((64, 128, 192, 320), row.split("|"), strict=True):
        assert float(cell) == pytest.approx(channels / 256 / (4 * log(2)), abs=0.005)


def test_published_maps_are_those_of_the_loss_tests():
    block = re.search(r"```text\n(.*?)```", GUIDE, re.DOTALL)[1]  # type: ignore
    rows = [row.split() for row in block.replace("--", "1").splitlines()]
    for start, published in ((0, PUBLISHED_WITHOUT_LOSS), (7, PUBLISHED_WITH_LOSS)):
        cells = [cell for row in rows for cell in row[start : start + 7]]
        assert cells == published.split()
