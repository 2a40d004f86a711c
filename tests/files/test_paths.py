"""Paths of a disk and of buckets, on buckets in memory."""

import contextlib
import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support import buckets

import jaxcorr
from jaxcorr import (
    bucket_clients,
    config_files,
    extras,
    files,
    image_files,
    paths,
    run_directory,
)
from jaxcorr.cli import main
from jaxcorr.errors import UserError
from jaxcorr.training import checkpoints
from jaxcorr.training.remote_log import RemoteLog

pytestmark = pytest.mark.fast


@pytest.fixture
def bucket(monkeypatch, tmp_path):
    """A bucket in memory, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    with buckets.memory_buckets(monkeypatch):
        yield paths.as_path("gs://bucket")
    assert list(tmp_path.iterdir()) == [] and not Path("/gs").exists()


def test_a_path_of_a_disk_stays_one_of_pathlib():
    for text in ("runs/a", "/tmp/x", "~/y", ".", "a:b", "-"):
        assert type(paths.as_path(text)) is type(Path())
        assert paths.as_path(text) == paths.as_path(Path(text)) == Path(text)
        assert not paths.is_remote(text)


def test_a_path_in_a_bucket_keeps_its_scheme(bucket):
    path = paths.as_path("gs://bucket/runs//a/")
    assert str(path) == str(paths.as_path(path)) == "gs://bucket/runs/a"
    assert str(path / "b" / "..c") == "gs://bucket/runs/a/b/..c"
    assert paths.is_remote(path) and paths.is_remote("s3://bucket/x")
    assert paths.identity(path) == str(paths.absolute(path)) == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("az://box/x", "must be a path of a disk or begin with gs://, s3://, but begi"),
        ("https://host/x", "but begins with https://"),
        ("gs:///x", "gs:///x must name a bucket"),
        ("s3://", "must name a bucket, as s3://BUCKET/PATH"),
        (Path("gs://bucket/x"), "gs:/bucket/x lost a slash: give gs://bucket/x, in Py"),
    ],
)
def test_a_path_that_cannot_be_read_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        paths.as_path(text)


@pytest.mark.parametrize("scheme", ["gs", "s3"])
@pytest.mark.parametrize(
    "command",
    [
        "train quickstart --workdir URL",
        "train quickstart --workdir x --data.batch-size 8 --data.source folder:URL",
        "train quickstart --workdir x --data.batch-size 8 --data.held-out "
        "arrayrecord:URL",
        "train quickstart --workdir x --data.batch-size 8 --data.source tfds:a "
        "--data.directory URL",
        "train quickstart:scratch --workdir x --init-from URL",
        "train --branch URL",
        "train URL/config.py",
        "evaluate . -m URL",
        "evaluate URL -m demo --json x.json",
        "compress URL",
        "compress image.png -o URL",
        "decompress URL -o x.png",
        "info image.jxc --json URL",
        "show image.png -m demo -o URL",
        "bound URL -m demo",
        "bound . -m demo -o URL",
        "export -m demo -o URL",
        "models add URL",
        "report URL -o x",
        "pack demo -o URL",
        "import-compressai weights.pth --architecture mbt2018 -o URL",
        "prepare URL -o x",
    ],
)
def test_a_missing_package_is_named_before_anything_is_done(
    command, scheme, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    extra = {"gs": "gcs", "s3": "s3"}[scheme]
    monkeypatch.setitem(bucket_clients.STORAGE, scheme, (extra, "absent_package"))
    monkeypatch.setitem(extras.MODULES, extra, ("absent_package",))
    url = f"{scheme}://bucket/x"
    message = rf"^{url}\S* needs absent_package, .*: pip install 'jaxcorr\[{extra}\]'$"
    with pytest.raises(UserError, match=message):
        main.run(shlex.split(command.replace("URL", url)))
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_models_images_and_results_live_in_a_bucket(bucket, model_path, capsys):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    for name in ("a/one.png", "b/one.png"):
        with paths.as_path(f"gs://bucket/in/{name}").open("wb") as file:
            Image.fromarray(image).save(file, "PNG")
    jaxcorr.save("gs://bucket/models/0", jaxcorr.load(model_path))
    assert {x.name for x in (bucket / "models" / "0").iterdir()} == {
        "config.json",
        "parameters.safetensors",
        "tables.npz",
    }
    main.run(["pack", "gs://bucket/models@0", "-o", "gs://bucket/packed"])
    with pytest.raises(UserError, match="gs://bucket/packed exists; give --force"):
        main.run(["pack", "gs://bucket/models@0", "-o", "gs://bucket/packed"])
    main.run("compress gs://bucket/in -m gs://bucket/packed -o gs://bucket/out".split())
    coded = [str(path) for path in paths.files_below(bucket / "out", ".jxc")]
    assert coded == ["gs://bucket/out/a/one.jxc", "gs://bucket/out/b/one.jxc"]
    with pytest.raises(UserError, match=r"gs://bucket/out/a/one.jxc exists; give --f"):
        main.run(
            "compress gs://bucket/in -m gs://bucket/packed -o gs://bucket/out".split()
        )
    pattern = "gs://bucket/out/a*/*.jxc"
    main.run(["decompress", pattern, "-m", "gs://bucket/packed"])
    assert not (bucket / "out" / "b" / "one.png").exists()
    with (bucket / "out" / "a" / "one.png").open("rb") as file:
        decoded = np.asarray(Image.open(file))
    data = files.read_file(bucket / "out" / "a" / "one.jxc")
    np.testing.assert_array_equal(
        decoded, jaxcorr.decompress(data, model=str(model_path))
    )
    results = "gs://bucket/results/r.json"
    command = ["evaluate", "gs://bucket/in", "-m", "gs://bucket/packed"]
    main.run([*command, "--json", results])
    images = json.loads(files.read_file(paths.as_path(results)))["images"]
    assert [row["file"] for row in images] == ["a/one.png", "b/one.png"]


def test_a_config_in_a_bucket_is_read_with_its_variant(bucket):
    text = (
        "from jaxcorr.config import TrainConfig\n"
        "def get_config(n='7'):\n    return TrainConfig(steps=int(n))\n"
    )
    files.write_file(bucket / "mine.py", text.encode())
    assert config_files.load_config("gs://bucket/mine.py").steps == 7
    config = config_files.load_config("gs://bucket/mine.py:9")
    assert (config.steps, config.workdir) == (9, "runs/mine_9")
    with pytest.raises(UserError, match=r"gs://bucket/other.py does not exist"):
        config_files.load_config("gs://bucket/other.py")


def test_files_in_a_bucket_are_listed_in_the_order_of_a_disk(bucket, tmp_path):
    names = ["b.png", "a/z.PNG", "a.png", "a/b/c.jpg", "a-b/d.png", "note.txt"]
    for name in names:
        files.write_file(bucket / "in" / name, b"x")
    found = list(image_files.scan_images(bucket / "in"))
    listed = [entry.path.removeprefix("gs://bucket/in/") for entry in found]
    on_disk = tmp_path.parent / f"{tmp_path.name}-disk"
    for name in names:
        files.write_file(on_disk / name, b"x")
    local = [
        Path(entry.path).relative_to(on_disk).as_posix()
        for entry in image_files.scan_images(on_disk)
    ]
    assert listed == local
    before = image_files.version(found[0])
    files.write_file(bucket / "in" / listed[0], b"longer")
    assert image_files.version(next(image_files.scan_images(bucket / "in"))) != before


def test_a_folder_is_replaced_with_its_marker_first_and_last(bucket, monkeypatch):
    written = []
    target, kind = bucket / "model", type(bucket)
    write = kind.write_bytes

    def record(path, data):
        written.append(path.name)
        write(path, data)

    monkeypatch.setattr(kind, "write_bytes", record)
    for content in ("old", "new"):
        with files.atomic_folder(target, last="config.json") as folder:
            for name in ("config.json", "z.npz", f"{content}.npz"):
                (folder / name).write_text(content)
    assert {x.name for x in target.iterdir()} == {"config.json", "z.npz", "new.npz"}
    assert written[2] == written[5] == "config.json"
    with contextlib.suppress(ZeroDivisionError):
        with files.atomic_folder(target, last="config.json"):
            raise ZeroDivisionError
    assert (target / "config.json").read_text() == "new"


def test_a_checkpoint_in_a_bucket_counts_when_orbax_has_marked_it(bucket, model_path):
    for step in (3, 6):
        folder = bucket / "run" / "checkpoints" / str(step)
        jaxcorr.save(folder / "models" / "0", jaxcorr.load(model_path))
    assert list(run_directory.checkpoint_directories(bucket / "run")) == []
    marker = bucket / "run" / "checkpoints" / "3" / "commit_success.txt"
    files.write_file(marker, b"")
    assert list(run_directory.checkpoint_directories(bucket / "run")) == [3]
    assert "/checkpoints/3/" in str(run_directory.find("gs://bucket/run"))
    folder = bucket / "run" / "checkpoints" / "6"
    files.write_file(folder / "commit_success.txt", b"")
    files.write_file(folder / "models" / "0" / "config.json", b"{}")
    assert checkpoints.latest_step(bucket / "run") == 3
    assert (bucket / "run" / "damaged" / "6" / "commit_success.txt").exists()
    assert not folder.exists()


def test_a_log_in_a_bucket_is_whole_after_each_upload(bucket):
    log = RemoteLog(bucket / "log.jsonl", b"first\n")
    assert files.read_file(bucket / "log.jsonl") == b"first\n"
    log.write("second\n")
    log.flush()  # Too soon after the one before.
    assert files.read_file(bucket / "log.jsonl") == b"first\n"
    log.upload()
    assert files.read_file(bucket / "log.jsonl") == b"first\nsecond\n"
    log.write(b"third\n")
    log.close()
    assert files.read_file(bucket / "log.jsonl") == b"first\nsecond\nthird\n"


def test_what_is_missing_in_a_bucket_is_said_in_one_line(bucket):
    with pytest.raises(UserError, match=r"^gs://bucket/x is not a directory: give a "):
        jaxcorr.load("gs://bucket/x")
    with pytest.raises(UserError, match=r"^gs://bucket/x.png cannot be read as"):
        jaxcorr.compress("gs://bucket/x.png")
    with pytest.raises(UserError, match=r"^gs://bucket/x.jxc cannot be read: no s"):
        jaxcorr.decompress("gs://bucket/x.jxc")


def test_train_states_in_s3_are_refused_before_anything_is_compiled(monkeypatch):
    monkeypatch.setitem(bucket_clients.STORAGE, "s3", ("s3", "fsspec"))
    with pytest.raises(UserError, match=r"^s3://bucket/run must be on a disk or"):
        jaxcorr.train("quickstart:scratch", workdir="s3://bucket/run")


def test_the_store_of_models_is_a_folder_of_a_disk(bucket, monkeypatch):
    monkeypatch.setenv("JAXCORR_MODELS", "gs://bucket/models")
    message = "^JAXCORR_MODELS must be a folder of a disk, but is gs://bucket/models: "
    with pytest.raises(UserError, match=message):
        main.run(["models", "list"])
    with pytest.raises(UserError, match=message):
        jaxcorr.compress("gs://bucket/x.png", model="absent")
