"""TNO on made files, in the names that a loader lists: no real file of it was at hand."""

import io
import shutil

import numpy as np
import pytest
from PIL import Image as Pillow

from rgbt_bench.converting import convert
from rgbt_bench.datasets.store import Dataset
from rgbt_bench.errors import BadInputError
from rgbt_converters._tno_pairs import originals
from rgbt_converters.tno import Tno

ALL = tuple(originals())
SOME = ("tank", "Athena_bunker", "Athena_APC_1_view_1", "DHV_wall", "FEL_Tree_sequence_4900", "FEL_Tree_sequence_4901")
SIZE = (24, 16)
FORMS = {"bmp": "BMP", "tif": "TIFF", "png": "PNG", "jpg": "JPEG"}


def encoded(name, seed, mode="L", size=SIZE):
    noise = np.random.default_rng(seed).integers(0, 255, (size[1], size[0]), dtype=np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(noise).convert(mode).save(stream, FORMS[name.rpartition(".")[2].lower()])
    return stream.getvalue()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def original(base, ids=SOME):
    for seed, one in enumerate(ALL):
        if one.sample_id in ids:
            put(base / one.rgb, encoded(one.rgb, 2 * seed))
            put(base / one.thermal, encoded(one.thermal, 2 * seed + 1))
    return base


def repacked(base, rgb="vi", thermal="ir", names=("01.png", "02.png", "13.png")):
    for seed, name in enumerate(names):
        put(base / rgb / name, encoded(name, 2 * seed))
        put(base / thermal / name, encoded(name, 2 * seed + 1))
    return base


def converted(base, **options):
    out = base.with_name(base.name + "-out")
    shutil.rmtree(out, ignore_errors=True)
    report = convert(Tno(), base, out, **options)
    return report, Dataset(out)


def refused(base):
    with pytest.raises(BadInputError) as caught:
        convert(Tno(), base, base.with_name("out"))
    return str(caught.value)


def test_the_list_of_the_archive_has_235_pairs_of_470_files():
    assert len(ALL) == len({one.sample_id for one in ALL}) == 235
    assert len({name for one in ALL for name in (one.rgb, one.thermal)}) == 470
    assert sum(bool(one.scene) for one in ALL) == 180
    assert all(one.sample_id.isprintable() and not set(one.sample_id) & set(" /") for one in ALL)


def test_the_whole_archive_converts_without_its_two_unequal_pairs(tmp_path):
    base = original(tmp_path / "TNO_Image_Fusion_Dataset", {one.sample_id for one in ALL})
    put(base / "Triclobs_images/Marne_15/Marne_15_IR.bmp", encoded(".bmp", 1, size=(24, 26)))
    put(base / "Triclobs_images/Movie_24/Movie_24_IR.bmp", encoded(".bmp", 1, size=(48, 32)))
    put(base / "Triclobs_images/Marne_15/Marne_15_II.bmp", encoded(".bmp", 1))
    report, dataset = converted(base)
    assert report.expected == {"test": "233 of 233: complete"}
    assert report.quirks == {
        "images of no infrared-visible pair, such as near infrared (left out)": 1,
        "pairs published with images of unequal sizes (left out)": 2,
    }
    assert dataset.labels["FEL_Duine_sequence_7400"].scene == "FEL_Duine_sequence"
    assert dataset.labels["tank"].scene == ""
    assert not {"Triclobs_Marne_15", "Triclobs_Movie_24"} & dataset.labels.keys()


def test_a_grey_visible_image_keeps_its_bytes(tmp_path):
    base = original(tmp_path / "a")
    sample = converted(base)[1].sample("Athena_bunker")
    assert sample.rgb.data == (base / "Athena_images/bunker/bunker_r.bmp").read_bytes()
    assert sample.thermal.data == (base / "Athena_images/bunker/IR_bunker_g.bmp").read_bytes()


@pytest.mark.parametrize(("rgb", "thermal"), [("vi", "ir"), ("vis", "ir"), ("VIS", "IR")])
def test_numbered_pairs_have_ids_of_their_own(rgb, thermal, tmp_path):
    report, dataset = converted(repacked(tmp_path / "TNO", rgb, thermal))
    assert report.layout == f"{rgb}-{thermal}"
    assert list(dataset.labels) == ["repacked_001", "repacked_002", "repacked_013"]
    assert report.quirks == {"pairs of a numbered copy (nothing in them shows that they are TNO's)": 3}
    again, _ = converted(repacked(tmp_path / "other", names=("1.png", "TNO_002.png", "013.png")))
    assert again.fingerprint == report.fingerprint
    assert not {one.sample_id for one in ALL} & dataset.labels.keys()


@pytest.mark.parametrize("form", ["zip", "tar"])
def test_an_archive_is_the_same_set(form, tmp_path):
    base = original(tmp_path / "TNO_Image_Fusion_Dataset")
    archive = shutil.make_archive(str(tmp_path / "set"), form, tmp_path, base.name)
    assert convert(Tno(), tmp_path / archive, tmp_path / "out").fingerprint == converted(base)[0].fingerprint


def with_palette(colours):
    picture = Pillow.fromarray(np.random.default_rng(3).integers(0, 255, SIZE[::-1], dtype=np.uint8))
    picture.putpalette(bytes(colours))
    stream = io.BytesIO()
    picture.save(stream, "BMP")
    return stream.getvalue()


def test_an_infrared_image_with_a_palette_of_greys_is_stored_again_as_one_channel(tmp_path):
    base = original(tmp_path / "a")
    data = with_palette([255 - value for value in range(256) for _ in range(3)])
    put(base / "DHV_images/wall/IR_163rad.bmp", data)
    report, dataset = converted(base)
    assert report.quirks == {"infrared images with a palette (stored again as one channel)": 1}
    thermal = dataset.sample("DHV_wall").thermal
    assert thermal.name == "IR_163rad.png"
    with Pillow.open(io.BytesIO(thermal.data)) as stored, Pillow.open(io.BytesIO(data)) as palette:
        assert (stored.mode, palette.mode) == ("L", "P")
        assert (np.asarray(stored) == np.asarray(palette.convert("RGB"))[..., 1]).all()


BUNKER = "Athena_images/bunker/IR_bunker_g.bmp"


@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        (BUNKER, with_palette([value % 256 for value in range(768)]), "palette has colours"),
        (BUNKER, encoded(BUNKER, 1)[:200], "IR_bunker_g.bmp"),
        (BUNKER, b"", f"{BUNKER}: cannot be decoded"),
        (BUNKER, encoded(BUNKER, 1, size=(20, 16)), "bunker_r.bmp): 24x16, but the labels and the pair say 20x16"),
        ("tank/LWIR.tif", encoded("x.tif", 1, mode="I;16"), "LWIR.tif: more than 8 bits a pixel (Pillow's mode I;16)"),
        ("tank/Vis.tif", encoded("x.tif", 1, mode="I;16"), "8-bit colour was expected"),
    ],
    ids=["colours", "truncated", "empty", "size", "16-bit infrared", "16-bit visible"],
)
def test_a_bad_file_is_named_and_its_pair_goes_when_skipped(file, data, said, tmp_path):
    base = original(tmp_path / "a")
    put(base / file, data)
    assert said in refused(base)
    report, dataset = converted(base, on_error="skip")
    assert (report.skipped, len(dataset.labels)) == (1, len(SOME) - 1)


def test_half_a_pair_is_a_fault_and_a_pair_that_is_not_there_is_none(tmp_path):
    base = original(tmp_path / "a")
    (base / "Athena_images/bunker/bunker_r.bmp").unlink()
    assert "bunker_r.bmp: missing, but its other half Athena_images/bunker/IR_bunker_g.bmp is there" in refused(base)
    report, _ = converted(base, on_error="skip")
    assert (report.parts, report.expected) == ({"test": 5}, {"test": "5 of 233: not the whole set"})


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("00471.png", "00471.png: no number of a re-packed TNO such as 1, 01 or TNO_028"),
        ("FLIR_00006.png", "no number of a re-packed TNO"),
        ("1.png", "repacked_001 again, first"),
        ("7.png", "no image of that name in"),
    ],
)
def test_a_strange_name_among_numbered_pairs_is_a_fault(name, said, tmp_path):
    base = repacked(tmp_path / "a")
    put(base / "ir" / name, encoded(name, 5))
    assert said in refused(base)


def test_nothing_of_tno_is_no_layout(tmp_path):
    put(tmp_path / "a/pictures/1.png", encoded("1.png", 1))
    assert "no TNO layout here: looked for the folders of the archive, such as Athena_images" in refused(tmp_path / "a")
