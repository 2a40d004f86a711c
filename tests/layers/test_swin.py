"""Swin transformer blocks against their definitions in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special
from support.reference_layers import (
    apply_pointwise,
    check_dtypes,
    inputs,
    pixel_shuffle,
    randomize,
)

from jaxcorr import compatibility
from jaxcorr.layers.swin import (
    LayerNorm,
    PatchEmbedding,
    PatchMerging,
    PatchSplitting,
    PatchUnpacking,
    SwinBlock,
)

WINDOW, HEADS, CHANNELS = 4, 2, 6


def make_block(*, shifted, window=WINDOW):
    block = SwinBlock(
        CHANNELS, heads=HEADS, window=window, shifted=shifted, rngs=nnx.Rngs(0)
    )
    return randomize(block)


def layer_norm(x, norm):
    """Computes a `LayerNorm`."""
    x = x.astype(np.float64)
    gain, bias = (np.asarray(parameter) for parameter in (norm.gain, norm.bias))
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * gain + bias


def attention(x, positions, groups, block):
    """Computes attention in one window, between positions of the same group only."""
    query, key, value = np.split(apply_pointwise(x, block.query_key_value), 3, axis=-1)
    side, width = 2 * block.window - 1, CHANNELS // HEADS
    out = np.zeros(x.shape)
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        for i, (row, column) in enumerate(positions):
            same_group = [j for j in range(len(positions)) if groups[j] == groups[i]]
            logits = []
            for j in same_group:
                rows = row - positions[j][0] + block.window - 1
                columns = column - positions[j][1] + block.window - 1
                bias = np.asarray(block.position_bias)[rows * side + columns, head]
                product = query[i, part] @ key[j, part] / np.sqrt(width)
                logits.append(product + bias)
            weights = special.softmax(np.array(logits, np.float64))
            out[i, part] = weights @ value[same_group, part]
    return apply_pointwise(out, block.projection)


def apply_mlp(x, block):
    """Computes the second half of a block."""
    first, _, second = block.perceptron.layers
    hidden = apply_pointwise(layer_norm(x, block.perceptron_norm), first)
    return x + apply_pointwise(hidden * special.ndtr(hidden), second)


def apply_block_cyclic(x, block):
    """Computes a block as Liu et al. do: by a cyclic shift and masks."""
    _, height, width, _ = x.shape
    side, shift = block.window, block.shift
    rolled = np.roll(layer_norm(x, block.attention_norm), (-shift, -shift), (1, 2))
    group = np.zeros((height, width), int)
    if shift:
        parts = slice(0, -side), slice(-side, -shift), slice(-shift, None)
        for i, rows in enumerate(parts):
            for j, columns in enumerate(parts):
                group[rows, columns] = 3 * i + j
    positions = [(row, column) for row in range(side) for column in range(side)]
    out = np.zeros(x.shape)
    for b in range(len(x)):
        for i in range(0, height, side):
            for j in range(0, width, side):
                window = np.s_[i : i + side, j : j + side]
                values = rolled[b][window].reshape(side**2, CHANNELS)
                mixed = attention(values, positions, group[window].ravel(), block)
                out[b][window] = mixed.reshape(side, side, CHANNELS)
    return apply_mlp(x + np.roll(out, (shift, shift), (1, 2)), block)


def positions_by_window(size, block):
    """Returns the positions of the grid that lie in each window."""
    positions = {}
    for row, column in np.ndindex(size):
        shifted = row + block.shift, column + block.shift
        window = tuple(position // block.window for position in shifted)
        positions.setdefault(window, []).append((row, column))
    return list(positions.values())


def apply_block(x, block):
    """Computes a block whose positions attend to the grid positions of their window."""
    norm, out = layer_norm(x, block.attention_norm), np.zeros(x.shape)
    for b in range(len(x)):
        for positions in positions_by_window(x.shape[1:3], block):
            window = tuple(np.transpose(positions))
            group = [0] * len(positions)
            out[b][window] = attention(norm[b][window], positions, group, block)
    return apply_mlp(x + out, block)


@pytest.mark.parametrize("shape", [(2, 4, 8, CHANNELS), (1, 8, 8, CHANNELS)])
@pytest.mark.parametrize("shifted", [False, True])
def test_block_equals_the_cyclic_shift_with_masks_on_whole_windows(shape, shifted):
    block, x = make_block(shifted=shifted), inputs(*shape)
    check_dtypes(block, x, apply_block_cyclic(x, block))


@pytest.mark.parametrize(
    "size", [(5, 7), (3, 2), (1, 1), (1, 9), (4, 4), (6, 2)], ids=str
)
@pytest.mark.parametrize("shifted", [False, True])
def test_positions_attend_to_the_grid_positions_of_their_window(size, shifted):
    block, x = make_block(shifted=shifted), inputs(1, *size, CHANNELS)
    with compatibility.enable_x64(True):
        output = jax.jit(lambda x: block(x))(jnp.asarray(x, jnp.float64))
    np.testing.assert_allclose(output, apply_block(x, block), rtol=0, atol=1e-11)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(5, 7), (8, 4)])
def test_output_depends_only_on_positions_of_the_same_window(size, shifted):
    block, x = make_block(shifted=shifted), jnp.asarray(inputs(1, *size, CHANNELS))
    # Gradient of the sum of all outputs of a position, to every input.
    jacobian = jax.jit(jax.jacrev(lambda x: block(x)[0].sum(-1)))(x)[:, :, 0]
    influence = np.any(np.asarray(jacobian) != 0, axis=-1)
    expected = np.zeros((*size, *size), bool)
    for positions in positions_by_window(size, block):
        rows, columns = np.transpose(positions)
        expected[rows[:, None], columns[:, None], rows, columns] = True
    np.testing.assert_array_equal(influence, expected)


@pytest.mark.fast
def test_values_of_the_padding_have_no_effect(monkeypatch):
    block, x = make_block(shifted=True), jnp.asarray(inputs(1, 5, 3, CHANNELS))
    with_zeros = block(x)
    pad = jnp.pad

    def pad_with_garbage(x, widths):
        return pad(x, widths, constant_values=1e3)

    monkeypatch.setattr(jnp, "pad", pad_with_garbage)
    np.testing.assert_array_equal(block(x), with_zeros)


@pytest.mark.fast
def test_block_with_zero_projections_is_the_identity():
    block, x = make_block(shifted=True), jnp.asarray(inputs(1, 5, 3, CHANNELS))
    for layer in (block.projection, block.perceptron.layers[2]):
        randomize(layer, reach=0.0)
    np.testing.assert_array_equal(block(x), x)


@pytest.mark.fast
def test_layer_norm_of_bfloat16_values_is_computed_in_float32():
    norm = LayerNorm(64)
    x = jnp.asarray(100 + inputs(5, 64), jnp.bfloat16)
    expected = layer_norm(np.asarray(x, np.float64), norm)
    output = np.asarray(norm(x), np.float64)
    np.testing.assert_allclose(output, expected, rtol=0, atol=0.02)


def pixel_unshuffle(x):
    """Moves the positions of each 2x2 square to channels, row by row."""
    corners = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
    return np.concatenate(corners, axis=-1)


LAYERS = {
    "norm": (lambda rngs: LayerNorm(6), layer_norm),
    "embedding": (
        lambda rngs: PatchEmbedding(6, 5, rngs=rngs),
        lambda x, layer: apply_pointwise(pixel_unshuffle(x), layer.linear),
    ),
    "merging": (
        lambda rngs: PatchMerging(6, 5, rngs=rngs),
        lambda x, layer: apply_pointwise(
            layer_norm(pixel_unshuffle(x), layer.norm), layer.linear
        ),
    ),
    "splitting": (
        lambda rngs: PatchSplitting(6, 5, rngs=rngs),
        lambda x, layer: pixel_shuffle(
            layer_norm(apply_pointwise(x, layer.linear), layer.norm)
        ),
    ),
    "unpacking": (
        lambda rngs: PatchUnpacking(6, 5, rngs=rngs),
        lambda x, layer: pixel_shuffle(apply_pointwise(x, layer.linear)),
    ),
}
"""Constructor and definition of the layers between blocks, and of the layer norm."""


@pytest.mark.parametrize("name", LAYERS)
def test_layers_equal_their_definitions_in_the_dtype_of_their_input(name):
    make, definition = LAYERS[name]
    layer, x = randomize(make(nnx.Rngs(0))), inputs(2, 4, 6, 6)
    check_dtypes(layer, x, definition(x, layer))


@pytest.mark.fast
def test_linear_maps_have_a_bias_unless_a_norm_is_next_to_them():
    has_bias = {
        name: "bias" in nnx.state(make(nnx.Rngs(0)))["linear"]
        for name, (make, _) in LAYERS.items()
        if name != "norm"
    }
    assert has_bias == {
        "embedding": True,
        "merging": False,
        "splitting": False,
        "unpacking": True,
    }
