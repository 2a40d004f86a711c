"""Inputs that fuzzing kept are read or refused, and fail in no other way."""

from pathlib import Path

import pytest
import targets

from jaxcorr.images import row_reader

CORPUS = Path(targets.__file__).parent / "corpus"


@pytest.mark.fast
@pytest.mark.filterwarnings("ignore")  # Those of Pillow about damaged images.
@pytest.mark.parametrize("name", targets.TARGETS)
def test_inputs_of_the_fuzzer_are_read_or_refused(monkeypatch, name):
    for attribute in ("WHOLE_PIXELS", "BAND_PIXELS"):  # `read_image` sets them.
        monkeypatch.setattr(row_reader, attribute, getattr(row_reader, attribute))
    kept = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]
    seeds = list(targets.seeds(name))
    assert len(kept) >= 20 and seeds
    for data in [*kept, *seeds]:
        targets.run(targets.TARGETS[name], data)


def test_what_is_neither_returned_nor_refused_is_a_failure():
    def fails(data):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        targets.run(fails, b"")
