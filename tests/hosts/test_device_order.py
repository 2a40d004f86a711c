"""Meshes on fake topologies: slices of TPUs, and shapes that split a torus."""

import dataclasses
import itertools

import jax
import numpy as np
import pytest

from jaxcorr.errors import UserError
from jaxcorr.hosts import device_order
from jaxcorr.training import sharding
from jaxcorr.training.sharding import DATA, FSDP, SWEEP


@dataclasses.dataclass(frozen=True)
class Chip:
    """Has the properties of a device that the arrangement of a mesh reads."""

    id: int
    coords: tuple[int, int, int]
    slice_index: int = 0
    device_kind: str = "TPU v6 lite"
    platform: str = "tpu"
    core_on_chip: int = 0
    process_index: int = 0


def slices(shape, count=1, kind="TPU v6 lite"):
    places = itertools.product(range(count), *map(range, reversed(shape)))
    return [
        Chip(number, (x, y, z), slice_index, kind)
        for number, (slice_index, z, y, x) in enumerate(places)
    ]


def arrange(devices, *, data, fsdp, sweep=1):
    sizes = {SWEEP: sweep, DATA: data, FSDP: fsdp}
    mesh = device_order.arrange(sizes, devices, across_slices=(DATA, SWEEP))
    assert mesh.shape == (sweep, data, fsdp)
    assert {chip.id for chip in mesh.flat} == {chip.id for chip in devices}
    return mesh


def test_the_mesh_of_a_run_is_arranged_with_data_across_slices(monkeypatch):
    """The devices of this test cannot be those of slices, so the call is recorded."""
    calls = []

    def record(sizes, devices, *, across_slices):
        calls.append((sizes, devices, across_slices))
        return np.reshape(devices, list(sizes.values()))[:, ::-1]

    monkeypatch.setattr(device_order, "arrange", record)
    mesh = sharding.make_mesh(sharding.MeshConfig(data=-1, fsdp=2))
    devices = jax.devices()
    assert calls == [({SWEEP: 1, DATA: 4, FSDP: 2}, devices, (DATA, SWEEP))]
    assert mesh.devices[0, 0].tolist() == devices[-2:]


@pytest.mark.parametrize(
    ("shape", "kind", "fsdp"),
    [
        ((16, 16, 1), "TPU v6 lite", 8),
        ((4, 4, 4), "TPU v5", 8),
        ((4, 4, 4), "TPU v5", 32),
    ],
)
def test_axes_split_those_of_the_torus_where_they_must(shape, kind, fsdp):
    devices = slices(shape, kind=kind)
    mesh = arrange(devices, data=len(devices) // fsdp, fsdp=fsdp)
    for group in mesh[0]:  # A block of the torus, not chips from everywhere.
        extents = np.ptp([chip.coords for chip in group], axis=0) + 1
        assert np.prod(extents) == fsdp


def test_axes_that_fit_the_torus_are_not_split():
    mesh = arrange(slices((16, 16, 1)), data=16, fsdp=16)
    for group in mesh[0]:
        assert sorted(np.ptp([chip.coords for chip in group], axis=0)) == [0, 0, 15]


def test_data_go_across_slices_and_parameters_stay_within():
    mesh = arrange(slices((4, 4, 1), count=2), data=8, fsdp=4)
    numbers = np.vectorize(lambda chip: chip.slice_index)(mesh)
    assert (numbers[0, :4] == 0).all() and (numbers[0, 4:] == 1).all()


def test_members_of_a_sweep_go_across_slices_where_data_cannot():
    mesh = arrange(slices((4, 4, 1), count=2), data=1, fsdp=16, sweep=2)
    assert [{chip.slice_index for chip in row.flat} for row in mesh] == [{0}, {1}]


def test_hosts_of_gpus_are_not_slices():
    gpus = [
        Chip(n, (0, 0, 0), slice_index=n // 4, platform="gpu", device_kind="H100")
        for n in range(8)
    ]
    assert [gpu.id for gpu in arrange(gpus, data=1, fsdp=8).flat] == list(range(8))


@pytest.mark.parametrize(
    ("devices", "sizes", "message"),
    [
        (
            slices((4, 4, 1), count=2),
            {"data": 1, "fsdp": 32},
            "mesh.data or mesh.sweep must be a multiple of 2, the number of slices, "
            "but the sizes are mesh.sweep 1, mesh.data 1, mesh.fsdp 32: other axes "
            "stay within a slice of 16 devices",
        ),
        (
            slices((4, 4, 1))[:-4],
            {"data": 12, "fsdp": 1},
            None,
        ),
        (
            [*slices((2, 2, 1)), Chip(9, (5, 5, 0))],
            {"data": 5, "fsdp": 1},
            "mesh.sweep 1 x mesh.data 5 x mesh.fsdp 1 cannot be laid out on 5 devices "
            "of kind TPU v6 lite: ",
        ),
        (
            slices((2, 2, 1), count=2)[:-1],
            {"data": 7, "fsdp": 1},
            "7 devices in 2 slices: slices must be equal in size",
        ),
    ],
)
def test_what_cannot_be_laid_out_is_refused_in_one_line(devices, sizes, message):
    if message is None:
        arrange(devices, **sizes)
        return
    with pytest.raises(UserError) as refusal:
        arrange(devices, **sizes)
    assert str(refusal.value).startswith(message) and "\n" not in str(refusal.value)
