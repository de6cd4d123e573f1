"""A pushed set read where it lies: the same samples and bits as on disk, and no more bytes than are asked for."""

import io
import pickle
import random
import shutil

import pyarrow.parquet as pq
import pytest

from cli_cases import only_object
from conftest import TinySample
from mfnet_cases import put_original
from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError, HubError, MissingError, UsageError
from rgbt_bench.hub.names import HubName
from rgbt_bench.hub.ranges import RangeFile, merged
from rgbt_bench.hub.remote import open_remote
from rgbt_bench.hub.sets import set_files
from rgbt_bench.hub.streaming import HubDataset, parse_hub_dataset
from rgbt_bench.opening import open_dataset

COUNTS = {"train": 80, "val": 8, "test": 40}
GROUP = 8  # samples of a row group
DATA = r"data/|parquet"
NAME = HubName("ann/sample")


class Wide(TinySample):
    """Enough scenes for several row groups."""

    expected = COUNTS

    def scan(self, source):
        from rgbt_bench.converters import Scan
        from rgbt_bench.datasets.sample import scenes
        from rgbt_bench.datasets.sample_converter import to_item

        items = [to_item(part, sample) for part, count in COUNTS.items() for sample in scenes(part, count)]
        return Scan("generated", items)


@pytest.fixture(scope="session")
def wide_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wide") / "sample"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rgbt_bench.datasets.writer.ROW_GROUP", GROUP)
        convert(Wide(), None, folder)
    return folder


def put_on(hub, folder, repo_id="ann/sample"):
    files = set_files(Dataset(folder), HubName(repo_id))
    contents = {path: one if isinstance(one, bytes) else one.read_bytes() for path, one in files.items()}
    hub.create_repo(repo_id, files=contents)


@pytest.fixture
def there(hub, wide_folder):
    put_on(hub, wide_folder)
    return hub


def sizes(folder):
    return {part: path.stat().st_size for part in COUNTS for path in (folder / "data").glob(f"{part}-*")}


def test_it_holds_the_same_samples_in_the_same_order(there, wide_folder):
    here, away = Dataset(wide_folder), HubDataset(NAME)
    assert away.record == here.record
    for name in COUNTS:
        assert away.part(name).ids == here.part(name).ids
        assert away.part(name).labels == here.part(name).labels
        assert list(away.part(name)) == list(here.part(name))
        assert list(away.part(name).masks()) == list(here.part(name).masks())


def test_any_order_of_reading_gives_the_same_samples(there, wide_folder):
    here, away = Dataset(wide_folder), HubDataset(NAME)
    ids = [sample_id for name in COUNTS for sample_id in here.part(name).ids]
    random.Random(0).shuffle(ids)
    for sample_id in ids:
        assert away.sample(sample_id) == here.sample(sample_id)


def test_only_the_row_groups_that_come_next_are_fetched_ahead(there, home):
    away = HubDataset(NAME)
    samples = iter(away.part("train"))
    next(samples)
    samples.close()  # which waits for what is under way
    assert len(list((home / "hub").rglob("*.arrow"))) in range(1, 5)  # of ten
    there.fail("GET", DATA, status=403, times=99)
    with pytest.raises(HubError):
        list(away.part("train"))


def test_a_set_under_its_own_split_is_not_opened_again(there):
    away = HubDataset(NAME)
    there.reset()
    assert away.under("default") is away
    assert not there.requests


def test_labels_are_read_without_images(there, wide_folder):
    assert HubDataset(NAME).part("test").labels
    assert there.bytes_sent(DATA) < 0.5 * sum(sizes(wide_folder).values())
    table = pq.read_table(wide_folder / "data" / "train-00000-of-00001.parquet", columns=["rgb", "thermal"])
    images = table.slice(0, GROUP).nbytes
    before = there.bytes_sent(DATA)
    HubDataset(NAME).sample(Dataset(wide_folder).part("train").ids[0])
    assert images < there.bytes_sent(DATA) - before < 1.2 * images + 80_000  # and the footer


def test_what_was_read_is_not_asked_for_again(there, wide_folder):
    first = list(HubDataset(NAME).part("test"))
    there.reset()
    assert list(HubDataset(NAME).part("test")) == first
    assert there.bytes_sent(DATA) == 0


def test_a_copy_in_another_process_reads_the_same(there):
    one = HubDataset(NAME)
    two = pickle.loads(pickle.dumps(one))
    assert (two.remote.name, two.split) == (one.remote.name, one.split)
    assert two.part("val")[0] == one.part("val")[0]


def test_a_head_that_moves_meanwhile_changes_nothing(there, wide_folder):
    away = HubDataset(NAME)
    assert away.remote.name.is_pinned
    there.repo("ann/sample").commit(dict.fromkeys(f"data/{path.name}" for path in (wide_folder / "data").iterdir()))
    assert list(away.part("test")) == list(Dataset(wide_folder).part("test"))
    with pytest.raises((UsageError, BadInputError)):
        HubDataset(NAME)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_hub_is_asked_again(there, wide_folder, status):
    away = HubDataset(NAME)
    there.fail("GET", DATA, status=status, times=3)
    assert away.part("val")[0] == Dataset(wide_folder).part("val")[0]


def test_a_range_that_is_cut_is_asked_for_again(there, wide_folder):
    away = HubDataset(NAME)
    assert away.labels
    there.fail("GET", "cdn|storage|X-Amz|Signature", cut_after=1000, times=2)
    assert away.part("train")[0] == Dataset(wide_folder).part("train")[0]


def test_a_hub_that_stays_away_is_one_error_and_reading_goes_on_later(there, wide_folder):
    away = HubDataset(NAME)
    there.fail("GET", ".", status=503, times=999)
    with pytest.raises(HubError, match="busy"):
        away.part("train")[0]
    there.reset()
    assert away.part("train")[0] == Dataset(wide_folder).part("train")[0]


def rewritten(data, change):
    table = pq.read_table(io.BytesIO(data))
    rows = table.to_pylist()
    change(rows)
    sink = io.BytesIO()
    pq.write_table(table.from_pylist(rows, schema=table.schema), sink, row_group_size=GROUP)
    return sink.getvalue()


def other_box(rows):
    next(row for row in rows if row["objects"])["objects"][0]["bbox"][3] += 1


def category_from_the_end(rows):
    box = next(row for row in rows if row["objects"])["objects"][0]
    box["category"] -= 3  # of three classes


def other_pixels(rows):
    rows[0]["rgb"] = rows[1]["rgb"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows[0].update(sample_id=None), "None: sample_id"),
        (other_box, "label"),
        (other_pixels, "rgb"),
        (lambda rows: rows[0].update(sample_id="x"), "x: "),
        (lambda rows: rows[0]["rgb"].update(bytes=None), "a cell has no value"),
        (lambda rows: rows[0].update(illumination="noon"), "illumination"),
    ],
)
def test_what_is_not_as_its_digests_say_is_refused(there, change, words):
    repo = there.repo("ann/sample")
    path = "data/test-00000-of-00001.parquet"
    repo.commit({path: rewritten(repo.files[path], change)})
    with pytest.raises(BadInputError, match=rf"hub:ann/sample@[0-9a-f]{{40}}: 1 sample(.|\n)*{words}"):
        HubDataset(NAME).part("test")[0]


@pytest.mark.parametrize("change", [lambda rows: rows[0].update(scene=None), category_from_the_end])
def test_labels_that_no_digest_tells_apart_are_refused_before_an_image_is_read(there, change):
    repo = there.repo("ann/sample")
    path = "data/test-00000-of-00001.parquet"
    repo.commit({path: rewritten(repo.files[path], change)})
    with pytest.raises(BadInputError, match=r"1 sample\(s\) are not what its digests say"):
        assert HubDataset(NAME).part("test").labels


@pytest.mark.parametrize("names", [["mask"], ["scene"], ["rgb"]])
def test_a_shard_without_its_columns_is_named(there, names):
    repo = there.repo("ann/sample")
    path = "data/test-00000-of-00001.parquet"
    sink = io.BytesIO()
    pq.write_table(pq.read_table(io.BytesIO(repo.files[path])).drop_columns(names), sink)
    repo.commit({path: sink.getvalue()})
    with pytest.raises(BadInputError, match=rf"{path}: its columns are not those of a set \({names[0]}\)"):
        assert HubDataset(NAME).part("test").labels


def test_what_was_damaged_in_the_cache_is_fetched_again(there, wide_folder, home):
    whole = list(Dataset(wide_folder).part("val"))
    assert list(HubDataset(NAME).part("val")) == whole
    kept = [path for path in (home / "hub").rglob("*.*") if path.is_file()]
    assert {path.suffix for path in kept} == {".parquet", ".arrow", ".sha256"}
    for path in kept:
        true = path.read_bytes()
        middle = len(true) // 2
        for damaged in (true[:middle] + bytes([true[middle] ^ 1]) + true[middle + 1 :], true[:middle], b"", None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            assert list(HubDataset(NAME).part("val")) == whole
            assert path.read_bytes() == true


def test_a_shard_that_is_none_is_named(there):
    repo = there.repo("ann/sample")
    path = "data/test-00000-of-00001.parquet"
    repo.commit({path: repo.files[path][: len(repo.files[path]) // 2]})
    with pytest.raises(BadInputError, match="data/test-00000-of-00001"):
        HubDataset(NAME).part("test")[0]


def test_a_set_with_masks_is_the_same(hub, bench, tmp_path):
    put_original(tmp_path / "original")
    folder = tmp_path / "mfnet"
    assert bench("convert", "mfnet", tmp_path / "original", "--out", folder)[0] == 0
    put_on(hub, folder, "ann/mfnet")
    here, away = Dataset(folder), HubDataset(HubName("ann/mfnet"))
    for name in here.parts:
        assert list(away.part(name)) == list(here.part(name))
        assert list(away.part(name).masks()) == list(here.part(name).masks())


@pytest.mark.parametrize(
    ("text", "name", "split"),
    [
        ("hub:ann/x", HubName("ann/x"), "default"),
        ("hub:ann/x@main", HubName("ann/x", "main"), "default"),
        ("hub:ann/x@main@official", HubName("ann/x", "main"), "official"),
        ("hub:ann/x@@official", HubName("ann/x"), "official"),
    ],
)
def test_a_set_on_the_hub_is_named_with_its_split(text, name, split):
    assert parse_hub_dataset(text) == (name, split)


@pytest.mark.parametrize("text", ["hub:x", "hub:ann/x@a@b@c", "hub:ann/x@@", "hub:ann/x@main@"])
def test_a_faulty_name_says_the_form(text):
    with pytest.raises(UsageError, match=r"OWNER/NAME|second @"):
        parse_hub_dataset(text)


def test_an_unknown_split_repository_or_manifest_is_said(there, hub):
    with pytest.raises(UsageError, match="split of sample 'none'"):
        open_dataset("hub:ann/sample@@none")
    with pytest.raises(MissingError, match="no such dataset repository"):
        open_dataset("hub:ann/sampel")
    hub.create_repo("ann/other", files={"train.csv": b"a,b"})
    with pytest.raises(UsageError, match="no set of rgbt-bench is there"):
        open_dataset("hub:ann/other")
    repo = hub.repo("ann/sample")
    repo.commit(dict.fromkeys(path for path in repo.files if path.startswith("data/")))
    with pytest.raises(UsageError, match=r"pull hub:ann/sample@[0-9a-f]{40} --originals"):
        open_dataset("hub:ann/sample")


def test_commands_about_sets_read_it(there, bench, wide_folder, tmp_path):
    _, away, err = bench("inspect", "hub:ann/sample", "--json")
    _, here, _ = bench("inspect", wide_folder, "--json")
    assert only_object(away) | {"folder": ""} == only_object(here) | {"folder": ""}, err
    code, _, err = bench("export", "hub:ann/sample", "--format", "yolo", "--out", tmp_path / "yolo", "--part", "val")
    assert code == 0, err
    assert bench("diff", "hub:ann/sample", wide_folder, "--exit-code")[0] == 0
    code, _, err = bench("splits", "hub:ann/sample")
    assert code == 0, err


@pytest.mark.slow
def test_a_training_from_the_hub_ends_in_the_same_bits_and_reads_what_it_needs(there, wide_folder, bench, home):
    options = ["--preset", "quick", "--device", "cpu", "--json"]
    for setting in ("schedule.max_steps=2", "schedule.batch_size=2"):
        options += ["--set", setting]
    code, out, err = bench("run", "ffkd-student-rgb", "--dataset", "hub:ann/sample", *options)
    assert code == 0, err
    away = only_object(out)["result"]
    assert there.bytes_sent(DATA) < sum(sizes(wide_folder).values())
    shutil.rmtree(home / "runs")
    code, out, err = bench("run", "ffkd-student-rgb", "--dataset", wide_folder, *options)
    assert code == 0, err
    here = only_object(out)["result"]
    same = ("metrics", "predictions_sha256", "data")
    assert {key: away[key] for key in same} == {key: here[key] for key in same}
    assert away["model"] == here["model"]


def test_ranges_are_joined_where_a_request_would_cost_more():
    assert merged([(10, 20), (0, 5), (22, 30), (200, 300)], 5) == [(0, 30), (200, 300)]
    assert merged([], 5) == []


def test_a_range_file_reads_as_a_file_does(there, wide_folder):
    path = "data/val-00000-of-00001.parquet"
    true = (wide_folder / path).read_bytes()
    file = RangeFile(open_remote(NAME, "dataset"), path)
    assert file.seek(0, 2) == len(true)
    assert file.read() == b""
    for start, size in ((0, 10), (5, 0), (len(true) - 3, 100), (100, 4000)):
        file.seek(start)
        assert file.read(size) == true[start : start + size]
        assert file.tell() == min(start + size, len(true))
    file.hold([(0, 1000)])
    there.reset()
    file.seek(10)
    assert file.read(500) == true[10:510]
    assert not there.requests


def test_a_range_of_another_length_is_said(there, wide_folder):
    path = "data/val-00000-of-00001.parquet"
    size = (wide_folder / path).stat().st_size
    file = RangeFile(open_remote(NAME, "dataset"), path)
    with pytest.raises(HubError, match=rf"sent 10 bytes of {path} where 100 were asked for"):
        file.hold([(size - 10, size + 90)])  # the Hub sends what there is
