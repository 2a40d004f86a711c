import dataclasses
import json

import pytest

from jaxcorr import serialization
from jaxcorr.errors import UserError

pytestmark = pytest.mark.fast


@serialization.stored("Disk")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Disk:
    radius: float = 1.0


@serialization.stored("Box")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Box:
    sides: tuple[int, ...] = (1, 2)


@serialization.stored("Scene")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    shape: Disk | Box = dataclasses.field(default_factory=Disk)
    frame: Box = dataclasses.field(default_factory=Box)
    title: str | None = None
    weights: float | tuple[float, ...] = 0.5
    shown: bool = True


@pytest.mark.parametrize("omit_defaults", [False, True])
@pytest.mark.parametrize(
    "scene",
    [
        Scene(),
        Scene(shape=Box(sides=(3, 4, 5)), title="three", weights=(0.1, 0.2)),
        Scene(shape=Disk(radius=2.5), frame=Box(sides=()), shown=False),
    ],
)
def test_settings_survive_a_round_trip_through_json(scene, omit_defaults):
    written = json.dumps(serialization.to_json(scene, omit_defaults=omit_defaults))
    assert serialization.from_json(Scene, json.loads(written), "file") == scene


def test_every_field_and_class_is_written():
    assert serialization.to_json(Scene(frame=Box(sides=(7,)))) == {
        "kind": "Scene",
        "shape": {"kind": "Disk", "radius": 1.0},
        "frame": {"kind": "Box", "sides": [7]},
        "title": None,
        "weights": 0.5,
        "shown": True,
    }


def test_fields_at_their_defaults_can_be_omitted():
    assert serialization.to_json(Scene(), omit_defaults=True) == {"kind": "Scene"}
    scene = Scene(shape=Box(), frame=Box(sides=(7,)))
    assert serialization.to_json(scene, omit_defaults=True) == {
        "kind": "Scene",
        "shape": {"kind": "Box"},
        "frame": {"kind": "Box", "sides": [7]},
    }


def test_a_new_field_at_its_default_is_omitted():
    later = dataclasses.make_dataclass(
        "Scene", [("depth", int, 3)], bases=(Scene,), frozen=True, kw_only=True
    )
    written = serialization.to_json(later(title="a"), omit_defaults=True)
    assert written == serialization.to_json(Scene(title="a"), omit_defaults=True)
    changed = serialization.to_json(later(title="a", depth=4), omit_defaults=True)
    assert changed != written


def test_a_renamed_field_keeps_its_name_in_files():
    @serialization.stored("Disk")
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Circle:
        distance: float = dataclasses.field(
            default=1.0, metadata=serialization.stored_as("radius")
        )

    written = serialization.to_json(Disk(radius=2.0))
    assert serialization.to_json(Circle(distance=2.0)) == written
    assert serialization.from_json(Circle, written, "file") == Circle(distance=2.0)
    with pytest.raises(UserError, match="Circle has no field 'distance'"):
        serialization.from_json(Circle, {"distance": 2.0}, "file")


def test_missing_fields_take_their_defaults():
    assert serialization.from_json(Scene, {}, "file") == Scene()
    values = {"frame": {"kind": "Box"}, "shape": {"radius": 2.0}}
    assert serialization.from_json(Scene, values, "file") == Scene(
        shape=Disk(radius=2.0)
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"titel": "a"}, r"a/b: Scene has no field 'titel' \(did you mean title\?\)"),
        ({"zzz": 1}, r"a/b: Scene has no field 'zzz'$"),
        ({"frame": {"side": []}}, r"Box has no field 'side' \(did you mean sides\?\)"),
        ({"shape": {"kind": "Ball"}}, "a/b: unknown kind 'Ball'"),
        ({"kind": "Box"}, "a/b: unknown kind 'Box'"),
    ],
)
def test_unknown_fields_and_classes_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        serialization.from_json(Scene, values, "a/b")


def test_differences_are_found_by_path():
    first = serialization.to_json(Scene(frame=Box(sides=(1,))))
    second = serialization.to_json(Scene(frame=Box(sides=(2,)), title="a"))
    assert serialization.differences(first, first) == {}
    assert serialization.differences(first, second) == {
        ("frame", "sides"): ([1], [2]),
        ("title",): (None, "a"),
    }


def test_a_dictionary_differs_from_a_value():
    assert serialization.differences({"a": {"b": 1}}, {"a": 2}) == {
        ("a",): ({"b": 1}, 2)
    }
    assert serialization.differences({"a": 1}, {}) == {("a",): (1, None)}
