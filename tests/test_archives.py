"""Archives as sources: what they hold is what the folder holds, and nothing else is written."""

import gzip
import io
import multiprocessing
import os
import pickle
import random
import struct
import tarfile
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive_cases import COMPRESS, FILES, GOOD, KINDS, archive_bytes, opened, tar_bytes, tree, zip64, zip_bytes
from flir_cases import put_voc
from rgbt_bench.archives import guard
from rgbt_bench.converting import convert
from rgbt_bench.errors import BadInputError
from rgbt_bench.sources import FolderSource
from rgbt_converters.flir import Flir


@pytest.mark.parametrize("kind", KINDS)
def test_an_archive_reads_as_its_files(kind, tmp_path):
    with opened(tmp_path / "no-suffix", archive_bytes(kind, FILES.items())) as source:
        assert source.names == tuple(sorted(FILES))
        assert {name: source.read(name) for name in source.names} == FILES
        assert [source.size(name) for name in FILES] == [len(content) for content in FILES.values()]
        assert source.files_in("a") == ["b.txt", "c.jpg"]
        assert source.bases(1) == ["", "a/", "e/"]
        assert len({source.stamp(name) for name in FILES}) == len(FILES)
        assert source.where("a/b.txt") == f"{tmp_path / 'no-suffix'}: a/b.txt"
        with pytest.raises(BadInputError, match="no-suffix: nothing: no such file in the archive"):
            source.read("nothing")
    assert [path.name for path in tmp_path.iterdir()] == ["no-suffix"]


NAMES = st.lists(
    st.lists(st.text(st.sampled_from("abüA é.中0-"), min_size=1, max_size=60), min_size=1, max_size=4).map("/".join),
    min_size=1, max_size=12,
)  # fmt: skip


def sound(names):
    """The names that a folder and an archive can both hold side by side."""
    kept = {}
    for name in names:
        parts = name.split("/")
        key = guard._folded(name)
        folders = {key[:place] for place, letter in enumerate(key) if letter == "/"}
        above = {place for other in kept for place in (other, *folders_of(other))}
        if not ({".", "..", ""} & set(parts) or key in above or folders & kept.keys() or name.startswith("._")):
            kept[key] = name
    return kept.values()


def folders_of(key):
    return {key[:place] for place, letter in enumerate(key) if letter == "/"}


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, st.randoms(use_true_random=False), st.sampled_from(KINDS), st.sampled_from(["", "./"]))
def test_reading_an_archive_is_reading_the_folder_it_was_made_from(tmp_path_factory, names, rng, kind, prefix):
    root = tmp_path_factory.mktemp("property")
    files = {name: rng.randbytes(rng.choice((0, 1, 511, 512, 513, 3000))) for name in sound(names)}
    if not files:
        return
    for name, content in files.items():
        (root / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "folder" / name).write_bytes(content)
    folder = FolderSource(root / "folder")
    with opened(root / "archive", archive_bytes(kind, ((prefix + name, data) for name, data in files.items()))) as one:
        assert one.names == folder.names
        assert {name: one.read(name) for name in one.names} == {name: folder.read(name) for name in folder.names}


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_tar_form(form, tmp_path):
    long = "/".join(["n" * 60] * 3 + ["é.txt"])
    with opened(tmp_path / "a", tar_bytes([(long, b"1"), ("b", b"22")], form)) as source:
        assert {name: source.read(name) for name in source.names} == {long: b"1", "b": b"22"}


def test_names_of_old_zips_are_utf8_or_else_cp437(tmp_path):
    utf8 = zip_bytes([("café.txt", b"1"), ("aaa.txt", b"2")])
    unflagged = utf8.replace(struct.pack("<H", 0x0800) + b"\x08\0", struct.pack("<H", 0) + b"\x08\0")
    assert unflagged != utf8
    with opened(tmp_path / "a", unflagged) as source:
        assert source.names == ("aaa.txt", "café.txt")
    with opened(tmp_path / "b", zip_bytes([("aaa.txt", b"2")]).replace(b"aaa", b"a\x82a")) as source:
        assert source.names == ("aéa.txt",)


def test_a_zip_with_64_bit_fields_and_one_with_a_comment(tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.comment = b"PK\x05\x06" * 100
        with archive.open("a/big", "w", force_zip64=True) as member:
            member.write(b"content")
    with opened(tmp_path / "a", stream.getvalue()) as source:
        assert source.read("a/big") == b"content"
    with opened(tmp_path / "c", zip_bytes([GOOD]) + b"trailing") as source:
        assert source.read("good.txt") == b"good"
    with opened(tmp_path / "b", zip64(zip_bytes([("x", b"abc" * 99), ("y", b"")]))) as source:
        assert {name: source.read(name) for name in source.names} == {"x": b"abc" * 99, "y": b""}


def test_what_operating_systems_leave_is_passed_over_and_nested_archives_are_files(tmp_path):
    inner = zip_bytes([("../x", b"")])
    members = [("__MACOSX/._a", b""), (".DS_Store", b""), ("a/._b", b""), ("a/Thumbs.db", b""), ("a/in.zip", inner)]
    for kind in KINDS:
        with opened(tmp_path / "archive", archive_bytes(kind, members)) as source:
            assert source.names == ("a/in.zip",)
            assert source.read("a/in.zip") == inner


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz"])
def test_several_compressed_streams_in_a_row_are_one(kind, tmp_path):
    data = tar_bytes(FILES.items())
    parts = b"".join(COMPRESS[kind](data[start : start + 1000]) for start in range(0, len(data), 1000))
    with opened(tmp_path / "a", parts) as source:
        assert {name: source.read(name) for name in source.names} == FILES


@pytest.mark.parametrize("kind", COMPRESS)
def test_what_a_writer_left_behind_the_end_of_a_tar_does_no_harm(kind, tmp_path):
    with opened(tmp_path / "a", COMPRESS[kind](tar_bytes(FILES.items()) + b"left in the buffer" * 100)) as source:
        assert {name: source.read(name) for name in source.names} == FILES


def read_there(source, names):
    with source:
        return os.getpid(), [source.read(name) for name in names]


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_threads_and_other_processes_read_the_same(kind, tmp_path):
    rng = random.Random(0)
    files = {f"f{number}": rng.randbytes(rng.randrange(60_000)) for number in range(40)}
    with opened(tmp_path / "a", archive_bytes(kind, files.items())) as source:
        again = pickle.loads(pickle.dumps(source))
        assert again.read("f7") == files["f7"]
        again.close()
        start = threading.Barrier(4)

        def read_all(seed):
            names = random.Random(seed).sample(sorted(files), len(files))
            start.wait()
            return all(source.read(name) == files[name] for name in names * 3)

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(read_all, range(4)))
        if method := {"deflated.zip": "fork", "tar.gz": "spawn"}.get(kind):
            with ProcessPoolExecutor(1, multiprocessing.get_context(method)) as pool:
                there, read = pool.submit(read_there, source, list(files)).result()
            assert there != os.getpid()
            assert read == list(files.values())
        assert source.read("f0") == files["f0"]  # no other process has removed the spool file


def test_an_archive_that_changes_is_noticed_by_another_process(tmp_path):
    with opened(tmp_path / "a", zip_bytes([GOOD])) as source:
        sent = pickle.dumps(source)
        (tmp_path / "a").write_bytes(zip_bytes([GOOD, (GOOD[0], b"else")]))
        with pytest.raises(BadInputError, match="a: changed while it was read"):
            pickle.loads(sent).read("good.txt")


def packed(kind, folder, path):
    """Pack a folder with its own name on top, as a person does."""
    members = [(file.relative_to(folder.parent).as_posix(), file.read_bytes()) for file in sorted(folder.rglob("*.*"))]
    path.write_bytes(archive_bytes(kind, members))
    return path


def content_of(out):
    """Every file of a dataset, the report apart, which says where the dataset lies."""
    files = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    return {name: data for name, data in files.items() if name.name != "conversion.json"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_is_the_same_bytes_from_a_folder_and_from_any_archive(kind, tmp_path):
    folder = put_voc(tmp_path / "in" / "align")
    expected = convert(Flir(), folder, tmp_path / "from-folder")
    archive = packed(kind, folder, tmp_path / "in" / "download")
    before = tree(tmp_path / "in")
    report = convert(Flir(), archive, tmp_path / "out" / "flir")
    assert report.fingerprint == expected.fingerprint
    assert report.quirks == expected.quirks
    assert content_of(tmp_path / "out" / "flir") == content_of(tmp_path / "from-folder")
    assert tree(tmp_path / "in") == before
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".flir.lock", "flir"]  # and no spool


@pytest.mark.parametrize("ending", ["fault", "interruption", "killed before"])
def test_the_spool_file_goes_however_a_conversion_ends(ending, tmp_path):
    folder = put_voc(tmp_path / "in" / "align")
    if ending == "fault":
        next(folder.glob("JPEGImages/*_RGB.jpg")).write_bytes(b"")
    archive = packed("tar.gz", folder, tmp_path / "in" / "download")
    spool = tmp_path / "out" / ".flir.spool"
    seen = []

    def progress(stage, done, total):
        seen.append(spool.is_file())
        if ending == "interruption":
            raise KeyboardInterrupt

    if ending == "killed before":
        spool.parent.mkdir()
        spool.write_bytes(b"left over")
        convert(Flir(), archive, tmp_path / "out" / "flir", progress=progress)
    else:
        with pytest.raises((BadInputError, KeyboardInterrupt)):
            convert(Flir(), archive, tmp_path / "out" / "flir", progress=progress)
    assert seen
    assert all(seen)
    assert not spool.exists()


def test_a_full_disk_says_what_to_do_and_leaves_no_spool_file(tmp_path, monkeypatch):
    path_open = Path.open

    def on_a_full_disk(path, mode="r"):
        return path_open(Path("/dev/full"), "wb") if mode == "xb" else path_open(path, mode)

    (tmp_path / "a").write_bytes(b"")
    monkeypatch.setattr(Path, "open", on_a_full_disk)
    with pytest.raises(BadInputError, match=r"\.out\.spool: No space left.*free some space, or unpack"):
        opened(tmp_path / "a", gzip.compress(tar_bytes([("a", os.urandom(2**20))])))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
