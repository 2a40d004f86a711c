import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy import special
from support.reference_layers import check_dtypes, inputs, mapped, pixels_of, randomize

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
    made = SwinBlock(
        CHANNELS, heads=HEADS, window=window, shifted=shifted, rngs=nnx.Rngs(0)
    )
    return randomize(made)


def normal(x, norm):
    """A `LayerNorm`."""
    x = x.astype(np.float64)
    gain, bias = (np.asarray(parameter) for parameter in (norm.gain, norm.bias))
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation * gain + bias


def attention(x, positions, groups, block):
    """Attention of the positions of one window, to those of the same group only."""
    query, key, value = np.split(mapped(x, block.query_key_value), 3, axis=-1)
    side, width = 2 * block.window - 1, CHANNELS // HEADS
    out = np.zeros(x.shape)
    for head in range(HEADS):
        part = slice(head * width, (head + 1) * width)
        for i, (row, column) in enumerate(positions):
            seen = [j for j in range(len(positions)) if groups[j] == groups[i]]
            logits = []
            for j in seen:
                down = row - positions[j][0] + block.window - 1
                right = column - positions[j][1] + block.window - 1
                bias = np.asarray(block.position_bias)[down * side + right, head]
                product = query[i, part] @ key[j, part] / np.sqrt(width)
                logits.append(product + bias)
            weights = special.softmax(np.array(logits, np.float64))
            out[i, part] = weights @ value[seen, part]
    return mapped(out, block.projection)


def perceived(x, block):
    """The second half of a block."""
    first, _, second = block.perceptron.layers
    hidden = mapped(normal(x, block.perceptron_norm), first)
    return x + mapped(hidden * special.ndtr(hidden), second)


def cyclic(x, block):
    """A block as Liu et al. write it: rolls the grid, and masks what wrapped around."""
    _, height, width, _ = x.shape
    side, shift = block.window, block.shift
    rolled = np.roll(normal(x, block.attention_norm), (-shift, -shift), (1, 2))
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
                here = np.s_[i : i + side, j : j + side]
                cut = rolled[b][here].reshape(side**2, CHANNELS)
                mixed = attention(cut, positions, group[here].ravel(), block)
                out[b][here] = mixed.reshape(side, side, CHANNELS)
    return perceived(x + np.roll(out, (shift, shift), (1, 2)), block)


def windows(size, block):
    """Real positions of every window."""
    found = {}
    for row, column in np.ndindex(size):
        shifted = row + block.shift, column + block.shift
        window = tuple(place // block.window for place in shifted)
        found.setdefault(window, []).append((row, column))
    return list(found.values())


def direct(x, block):
    """A block whose positions attend to the real positions of their window."""
    norm, out = normal(x, block.attention_norm), np.zeros(x.shape)
    for b in range(len(x)):
        for positions in windows(x.shape[1:3], block):
            at = tuple(np.transpose(positions))
            group = [0] * len(positions)
            out[b][at] = attention(norm[b][at], positions, group, block)
    return perceived(x + out, block)


@pytest.mark.parametrize("shape", [(2, 4, 8, CHANNELS), (1, 8, 8, CHANNELS)])
@pytest.mark.parametrize("shifted", [False, True])
def test_on_whole_windows_a_block_is_the_cyclic_shift_with_masks(shape, shifted):
    block, x = make_block(shifted=shifted), inputs(*shape)
    check_dtypes(block, x, cyclic(x, block))


@pytest.mark.parametrize(
    "size", [(5, 7), (3, 2), (1, 1), (1, 9), (4, 4), (6, 2)], ids=str
)
@pytest.mark.parametrize("shifted", [False, True])
def test_on_any_grid_a_position_attends_to_the_real_ones_of_its_window(size, shifted):
    block, x = make_block(shifted=shifted), inputs(1, *size, CHANNELS)
    with jax.enable_x64(True):
        found = jax.jit(lambda x: block(x))(jnp.asarray(x, jnp.float64))
    np.testing.assert_allclose(found, direct(x, block), rtol=0, atol=1e-11)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(5, 7), (8, 4)])
def test_only_positions_of_the_same_window_have_influence(size, shifted):
    block, x = make_block(shifted=shifted), jnp.asarray(inputs(1, *size, CHANNELS))
    # Of all outputs of a position, on every input.
    jacobian = jax.jit(jax.jacrev(lambda x: block(x)[0].sum(-1)))(x)[:, :, 0]
    influence = np.any(np.asarray(jacobian) != 0, axis=-1)
    expected = np.zeros((*size, *size), bool)
    for positions in windows(size, block):
        rows, columns = np.transpose(positions)
        expected[rows[:, None], columns[:, None], rows, columns] = True
    np.testing.assert_array_equal(influence, expected)


@pytest.mark.fast
def test_nothing_depends_on_what_padding_holds(monkeypatch):
    block, x = make_block(shifted=True), jnp.asarray(inputs(1, 5, 3, CHANNELS))
    with_zeros = block(x)
    pad = jnp.pad
    garbage = lambda x, widths: pad(x, widths, constant_values=1e3)
    monkeypatch.setattr(jnp, "pad", garbage)
    np.testing.assert_array_equal(block(x), with_zeros)


@pytest.mark.fast
def test_a_block_with_zero_projections_is_the_identity():
    block, x = make_block(shifted=True), jnp.asarray(inputs(1, 5, 3, CHANNELS))
    for layer in (block.projection, block.perceptron.layers[2]):
        randomize(layer, reach=0.0)
    np.testing.assert_array_equal(block(x), x)


@pytest.mark.fast
def test_a_layer_norm_of_large_bfloat16_values_is_that_of_float32():
    norm = LayerNorm(64)
    x = jnp.asarray(100 + inputs(5, 64), jnp.bfloat16)
    expected = normal(np.asarray(x, np.float64), norm)
    found = np.asarray(norm(x), np.float64)
    np.testing.assert_allclose(found, expected, rtol=0, atol=0.02)


def squares(x):
    """Pixels of each 2x2 square, row by row, as channels."""
    corners = [x[:, i::2, j::2] for i in range(2) for j in range(2)]
    return np.concatenate(corners, axis=-1)


STEPS = {
    "norm": (lambda rngs: LayerNorm(6), normal),
    "embedding": (
        lambda rngs: PatchEmbedding(6, 5, rngs=rngs),
        lambda x, step: mapped(squares(x), step.linear),
    ),
    "merging": (
        lambda rngs: PatchMerging(6, 5, rngs=rngs),
        lambda x, step: mapped(normal(squares(x), step.norm), step.linear),
    ),
    "splitting": (
        lambda rngs: PatchSplitting(6, 5, rngs=rngs),
        lambda x, step: pixels_of(normal(mapped(x, step.linear), step.norm)),
    ),
    "unpacking": (
        lambda rngs: PatchUnpacking(6, 5, rngs=rngs),
        lambda x, step: pixels_of(mapped(x, step.linear)),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_steps_are_their_definitions_in_the_dtype_of_their_input(name):
    make, by_definition = STEPS[name]
    step, x = randomize(make(nnx.Rngs(0))), inputs(2, 4, 6, 6)
    check_dtypes(step, x, by_definition(x, step))


@pytest.mark.fast
def test_linear_maps_next_to_norms_have_no_bias_and_the_others_have_one():
    biased = {
        name: "bias" in nnx.state(make(nnx.Rngs(0)))["linear"]
        for name, (make, _) in STEPS.items()
        if name != "norm"
    }
    assert biased == {
        "embedding": True,
        "merging": False,
        "splitting": False,
        "unpacking": True,
    }
