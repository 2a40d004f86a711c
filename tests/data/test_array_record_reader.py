"""Tiles as a source of training: any order, any process, and damaged folders."""

import functools
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from support.image_folders import settings, take_batches
from support.tile_folders import prepare

from jaxcorr.data import array_record_reader, sources
from jaxcorr.data.tiles import TileConfig
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@pytest.fixture
def tiles(photographs, tmp_path) -> Path:
    prepare(photographs, tmp_path / "tiles", config=TileConfig(tile=128, min_side=64))
    return tmp_path / "tiles"


def test_training_on_tiles_resumes_exactly(tiles):
    data = settings(source=f"arrayrecord:{tiles}")
    batches = take_batches(6, data, sources.training_source(data))
    resumed = take_batches(2, data, sources.training_source(data), start=4)
    np.testing.assert_array_equal(resumed, batches[4:])
    rows = take_batches(2, data, sources.training_source(data), start=2, rows=[1, 3])
    np.testing.assert_array_equal(rows, np.array(batches)[2:4, [1, 3]])


def test_a_source_is_the_same_in_another_process(tiles):
    data = settings(source=f"mix:1*arrayrecord:{tiles}+2*builtin")
    source = sources.training_source(data)
    copy = pickle.loads(pickle.dumps(source))  # As Grain hands it to its workers.
    batches = take_batches(2, data, source)
    np.testing.assert_array_equal(take_batches(2, data, copy), batches)


def test_more_shards_than_stay_open_are_read(tiles, monkeypatch):
    source = array_record_reader.ArrayRecordReader(tiles)
    expected = [source[number] for number in range(len(source))]
    few = functools.lru_cache(1)(array_record_reader._open.__wrapped__)
    monkeypatch.setattr(array_record_reader, "_open", few)
    order = np.random.default_rng(0).permutation(len(source)).tolist()
    for number in order:
        np.testing.assert_array_equal(source[number], expected[number])
    assert few.cache_info().misses > 4


def test_a_folder_without_complete_tiles_is_refused(tiles, photographs, tmp_path):
    def refuse(folder, message):
        data = settings(source=f"arrayrecord:{folder}")
        with pytest.raises(UserError, match=message) as refusal:
            sources.training_source(data)
        assert "\n" not in str(refusal.value)

    refuse(tmp_path / "nowhere", "nowhere is not a directory")
    refuse(photographs, "photographs holds no tiles of jaxcorr prepare")
    shard = tiles / "tiles-00001-of-00004.array_record"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-1])
    refuse(tiles, r"tiles-00001-of-00004.array_record has [\d,]+ bytes, but must have")
    shard.unlink()
    refuse(tiles, "tiles-00001-of-00004.array_record cannot be read: No such file")
    shard.write_bytes(whole)
    data_set = json.loads((tiles / "data_set.json").read_text())
    (tiles / "data_set.json").write_text(json.dumps({**data_set, "format": 2}))
    refuse(tiles, "has format 2, but this version of jaxcorr reads format 1")
    (tiles / "data_set.json").write_text("{")
    refuse(tiles, r"data_set.json is damaged: ")


def test_a_damaged_record_is_replaced_and_a_lost_shard_is_an_error(tiles, caplog):
    shard = tiles / "tiles-00000-of-00004.array_record"
    whole = bytearray(shard.read_bytes())
    middle = whole.index(b"VP8L") + 1000
    whole[middle : middle + 50] = bytes(50)
    shard.write_bytes(whole)
    array_record_reader._open.cache_clear()
    source = sources.training_source(settings(source=f"arrayrecord:{tiles}"))
    assert [source[number].shape for number in range(6)]
    assert "record" in caplog.text and "is damaged" in caplog.text
    array_record_reader._open.cache_clear()
    shard.unlink()
    with pytest.raises(OSError, match=r"00000-of-00004.array_record is missing"):
        source[0]
