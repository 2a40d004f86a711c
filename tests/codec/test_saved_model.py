import dataclasses
import json
import shutil
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxcorr import codec, saved_model
from jaxcorr.codec import CodecConfig
from jaxcorr.entropy.tables import IntegerTables
from jaxcorr.errors import UserError
from jaxcorr.provenance import Provenance
from jaxcorr.transforms.minnen import Minnen

SETTINGS = CodecConfig(transforms=Minnen(width=3, channels=4))
PROVENANCE = Provenance(step=7, held_out_loss=1.5)
FILES = (saved_model.CONFIG, saved_model.PARAMETERS, saved_model.TABLES)


@pytest.fixture(scope="module")
def model():
    shapes = codec.abstract_parameters(SETTINGS)
    rng = np.random.default_rng(0)
    parameters = {
        name: rng.normal(scale=0.3, size=shapes[name].shape) for name in sorted(shapes)
    }
    return saved_model.make_model(SETTINGS, parameters, provenance=PROVENANCE)


@pytest.fixture(scope="module")
def written(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "model"
    saved_model.write_model(path, model)
    return path


@pytest.fixture
def folder(written, tmp_path):
    """A copy of the written folder, to be damaged."""
    return shutil.copytree(written, tmp_path / "copy")


def changed(model, **fields):
    return dataclasses.replace(model, **fields)


@pytest.mark.fast
def test_a_model_survives_writing_and_reading(model, written):
    read = saved_model.read_model(written)
    assert read.fingerprint == model.fingerprint
    assert len(read.fingerprint) == 8
    assert read.config == model.config
    assert read.provenance == PROVENANCE
    assert read.parameters.keys() == model.parameters.keys()
    for name, array in model.parameters.items():
        assert read.parameters[name].dtype == np.float32
        np.testing.assert_array_equal(read.parameters[name], array)
    np.testing.assert_array_equal(read.median, model.median)
    for kind in ("side_tables", "latent_tables"):
        for field in dataclasses.fields(IntegerTables):
            np.testing.assert_array_equal(
                getattr(getattr(read, kind), field.name),
                getattr(getattr(model, kind), field.name),
            )
    assert sorted(path.name for path in written.iterdir()) == sorted(FILES)
    assert [path.name for path in written.parent.iterdir()] == [written.name]


@pytest.mark.fast
def test_a_model_of_16_bits_is_stored_in_half_the_size(model, written, tmp_path):
    half = saved_model.round_to_half(model)
    saved_model.write_model(tmp_path / "half", half)
    read = saved_model.read_model(tmp_path / "half")
    assert read.fingerprint == half.fingerprint != model.fingerprint
    for name, array in model.parameters.items():
        assert read.parameters[name].dtype == np.float32
        rounded = array.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(read.parameters[name], rounded)
    arrays = safetensors.numpy.load_file(tmp_path / "half" / saved_model.PARAMETERS)
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.float16)}
    sizes = [
        sum(array.nbytes for array in arrays.values()),
        (written / saved_model.PARAMETERS).stat().st_size,
    ]
    assert sizes[0] < 0.51 * sizes[1]
    # Medians and tables are those of the rounded parameters.
    again = saved_model.make_model(SETTINGS, read.parameters)
    np.testing.assert_array_equal(read.median, again.median)
    saved_model.write_model(tmp_path / "again", read)
    assert saved_model.read_model(tmp_path / "again").fingerprint == half.fingerprint


@pytest.mark.fast
def test_parameters_beyond_16_bits_are_refused(model):
    name, array = next(iter(model.parameters.items()))
    large = changed(model, parameters=model.parameters | {name: array + 1e6})
    with pytest.raises(UserError, match="is beyond the range of 16 bits"):
        saved_model.round_to_half(large)


def test_a_folder_replaces_an_older_one(model, folder):
    (folder / "leftover").touch()
    other = changed(model, median=model.median + 1)
    saved_model.write_model(folder, other)
    assert saved_model.read_model(folder).fingerprint == other.fingerprint
    assert not (folder / "leftover").exists()


def test_tables_hold_the_probabilities_of_the_prior(model):
    prior = codec.with_parameters(SETTINGS, model.parameters).prior
    np.testing.assert_allclose(model.median, prior.median(), atol=1e-4)
    table, channel = model.side_tables, 1
    symbols = table.lowest[channel] + np.arange(table.escape[channel])
    values = np.float32(symbols[:, None] + model.median)
    expected = np.exp2(-np.asarray(prior.bits(jnp.asarray(values))))[:, channel]
    counts = table.counts[channel, : symbols.size] / table.counts[channel].sum()
    np.testing.assert_allclose(counts, expected, rtol=1e-2, atol=1e-6)


def test_median_can_be_overridden(model):
    given = np.array([0.25, -1.5, 3.0], np.float32)
    overridden = saved_model.make_model(SETTINGS, model.parameters, median=given)
    np.testing.assert_array_equal(overridden.median, given)
    assert overridden.fingerprint != model.fingerprint
    # Symbols are relative to the median: tables move the other way.
    shift = given - model.median
    table_shift = overridden.side_tables.lowest - model.side_tables.lowest
    assert np.all(table_shift * shift <= 0)


@pytest.mark.fast
def test_every_change_of_the_model_changes_the_fingerprint(model):
    one_bit = model.parameters["prior/biases/4"].copy()
    one_bit.view(np.uint32)[-1] ^= 1
    counts = model.side_tables.counts.copy()
    most = np.argmax(counts[0])
    counts[0, [most, most - 1]] += np.array([-1, 1]).astype(np.uint32)
    side, latent = model.side_tables, model.latent_tables
    renamed = dict(model.parameters)
    renamed["prior/biases/5"] = renamed.pop("prior/biases/4")
    variants = [
        model,
        changed(model, parameters={**model.parameters, "prior/biases/4": one_bit}),
        changed(model, parameters=renamed),
        changed(model, median=np.nextafter(model.median, np.float32(np.inf))),
        changed(model, side_tables=dataclasses.replace(side, counts=counts)),
        changed(model, side_tables=dataclasses.replace(side, lowest=side.lowest + 1)),
        changed(
            model, latent_tables=dataclasses.replace(latent, lowest=latent.lowest + 1)
        ),
        changed(model, config=dataclasses.replace(SETTINGS, likelihood_bound=1e-9)),
    ]
    assert len({variant.fingerprint for variant in variants}) == len(variants)


@pytest.mark.fast
def test_provenance_does_not_change_the_fingerprint(model):
    assert changed(model, provenance=Provenance()).fingerprint == model.fingerprint


@pytest.mark.fast
def test_a_new_setting_at_its_default_does_not_change_the_fingerprint(model):
    later = dataclasses.make_dataclass(
        "CodecConfig",
        [("novelty", int, 0)],
        bases=(CodecConfig,),
        frozen=True,
        kw_only=True,
    )
    same = later(transforms=SETTINGS.transforms)
    other = later(transforms=SETTINGS.transforms, novelty=1)
    assert changed(model, config=same).fingerprint == model.fingerprint
    assert changed(model, config=other).fingerprint != model.fingerprint


@pytest.mark.fast
@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(UserError, match=name):
        saved_model.read_model(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_gives_the_same_model(model, folder, name):
    intact = (folder / name).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    # All bytes at both ends, where zip files and arrays have their headers.
    ends = [*range(160), *range(len(intact) - 160, len(intact))]
    for index in {*rng.integers(len(intact), size=60).tolist(), *ends}:
        damaged = bytearray(intact)
        damaged[index % len(intact)] ^= 1 << int(rng.integers(8))
        (folder / name).write_bytes(damaged)
        try:
            read = saved_model.read_model(folder)
        except UserError:
            refused += 1
        else:
            # Some bytes do not change the model: dates in zip files, provenance.
            assert read.fingerprint == model.fingerprint
    assert refused > 100


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("size", [0, 1, 100, 0.5, 0.99])
def test_a_truncated_file_is_refused(folder, name, size):
    intact = (folder / name).read_bytes()
    """Sizes are numbers of bytes, or fractions of the file."""
    end = int(size * len(intact)) if size < 1 else int(size)
    (folder / name).write_bytes(intact[:end])
    with pytest.raises(UserError, match=str(folder)):
        saved_model.read_model(folder)


def edit_config(folder, **changes):
    path = folder / saved_model.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"format": 4},
            "model folder of format 4, but this jaxcorr reads formats 1 to 3",
        ),
        ({"format": None}, "model folder of format None"),
        ({"fingerprint": "0" * 16}, "damaged model folder, fingerprint .* instead of"),
        ({"codec": {"channel": 3}}, "CodecConfig has no field 'channel'"),
        ({"codec": {"likelihood_floor": 0.1}}, "damaged model folder, fingerprint"),
        ({"codec": None}, "CodecConfig must be an object, not None"),
    ],
)
def test_an_invalid_config_is_refused(folder, changes, message):
    edit_config(folder, **changes)
    with pytest.raises(UserError, match=message):
        saved_model.read_model(folder)


@pytest.mark.fast
def test_a_table_that_is_no_array_is_refused(folder):
    with zipfile.ZipFile(folder / saved_model.TABLES) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["latent_counts"] = b"text"  # NumPy reads bytes, and no array.
    del members["latent_counts.npy"]
    with zipfile.ZipFile(folder / saved_model.TABLES, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UserError, match="damaged model folder, "):
        saved_model.read_model(folder)


def test_a_config_that_is_not_an_object_is_refused(folder):
    (folder / saved_model.CONFIG).write_text("[1, 2]")
    with pytest.raises(UserError, match=r"no readable config\.json"):
        saved_model.read_model(folder)
