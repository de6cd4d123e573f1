"""What holds of every fusion convention: names, errors, colour, undefined figures, and the sizes of known defects."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from PIL import Image

from fusion_images import triple
from rgbt_bench.errors import UsageError
from rgbt_bench.metrics.fusion import METRICS, fusion_figures, luma_of
from rgbt_bench.metrics.fusion.conventions import CONVENTIONS, find_convention
from rgbt_bench.metrics.fusion.conventions._images import matlab_gray, opencv_gray

DEFAULT, VIFB, TANG, ZOO, CDDFUSE = CONVENTIONS
each = pytest.mark.parametrize("convention", CONVENTIONS, ids=[convention.name for convention in CONVENTIONS])


def test_the_default_comes_first_and_is_what_fusion_figures_says():
    images = triple()
    assert DEFAULT.name == "rgbt-bench"
    assert DEFAULT.figures(*images) == pytest.approx(fusion_figures(*images), nan_ok=True)


def test_conventions_are_found_by_name():
    assert [find_convention(convention.name) for convention in CONVENTIONS] == list(CONVENTIONS)
    with pytest.raises(UsageError, match=r"unknown fusion convention 'tang'.*tang-matlab"):
        find_convention("tang")


@each
def test_figures_come_in_the_order_asked_for(convention):
    images = triple(30, 34)
    assert tuple(convention.figures(*images)) == convention.metrics
    assert list(convention.figures(*images, names=["SD", "EN"])) == ["SD", "EN"]
    with pytest.raises(UsageError, match=f"unknown metric of {convention.name} 'en'"):
        convention.figures(*images, names=["en"])


@each
def test_differences_and_sources_are_sentences_about_the_conventions_own_metrics(convention):
    assert set(convention.differences) <= set(convention.metrics)
    assert all(text.endswith((".", ".)")) for text in convention.differences.values())
    assert convention is DEFAULT or "commit" in convention.source
    assert convention is DEFAULT or set(convention.metrics) - set(METRICS) <= set(convention.differences)


@each
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rgb, thermal, fused: (rgb.astype(float), thermal, fused), "rgb: uint8"),
        (lambda rgb, thermal, fused: (rgb, np.stack([thermal] * 3, -1), fused), "thermal: uint8"),
        (lambda rgb, thermal, fused: (rgb, thermal, fused[..., None]), "fused: uint8"),
        (lambda rgb, thermal, fused: (rgb, thermal[:-1], fused), "one size"),
        (lambda rgb, thermal, fused: (rgb[:0], thermal[:0], fused[:0]), "rgb: uint8"),
    ],
)
def test_other_images_are_refused(convention, change, message):
    with pytest.raises(ValueError, match=message):
        convention.figures(*change(*triple(12, 12)))


@each
@settings(max_examples=15, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from([1, 2, 256]), st.integers(0, 9), st.booleans())
def test_no_image_makes_a_warning_or_an_infinite_figure(convention, height, width, levels, seed, colour):
    random = np.random.default_rng(seed)
    shape = (height, width, 3) if colour else (height, width)
    rgb, fused = (random.integers(0, levels, shape, dtype=np.uint8) for _ in range(2))
    thermal = random.integers(0, levels, (height, width), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = convention.figures(rgb, thermal, fused)
    assert all(isinstance(value, float) and not np.isinf(value) for value in found.values())


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 254), st.integers(1, 255), st.integers(0, 99))
def test_the_unit_of_mi_is_the_nat_in_two_conventions_and_vifbs_stretch_changes_nothing(low, span, seed):
    random = np.random.default_rng(seed)
    images = random.integers(low, min(255, low + span), (3, 12, 15), dtype=np.uint8, endpoint=True)
    images[2] = np.where(images[2] % 2, images[0], images[1])
    found = [convention.figures(*images, names=["MI"])["MI"] for convention in (DEFAULT, VIFB, ZOO, CDDFUSE)]
    assert_allclose(found, found[0] / np.array([1, np.log2(np.e), 1, np.log2(np.e)]), atol=1e-12)


def test_known_sizes_of_defects():
    images = triple(200, 240)
    default, tang, zoo, cddfuse = (convention.figures(*images) for convention in (DEFAULT, TANG, ZOO, CDDFUSE))
    assert_allclose(zoo["PSNR"] - default["PSNR"], 20 * np.log10(255))
    assert_allclose(tang["PSNR"] - default["PSNR"], 20 * np.log10(255))
    assert 5e-6 < default["EN"] - zoo["EN"] < 4e-5
    assert zoo["VIF"] > 1.05 * cddfuse["VIF"]
    assert tang["SD"] < 15.97 < default["SD"]


@pytest.mark.parametrize("convention", CONVENTIONS[1:], ids=lambda convention: convention.name)
def test_differences_names_exactly_the_metrics_that_differ(convention):
    gray, colour = triple(200, 240), triple(200, 240, colour=True)
    gray[1][100:105], gray[1][105:110], gray[2][100:110] = 254, 255, 254
    luma = luma_of(colour[0]), colour[1], luma_of(colour[2])
    ours, theirs = fusion_figures(*gray), convention.figures(*gray)
    shared = [name for name in convention.metrics if name in METRICS]
    differ = {name for name in shared if not np.isclose(ours[name], theirs[name], rtol=1e-9, atol=0)}
    if convention is VIFB:  # by its colour alone: one channel after the other
        ours, theirs = fusion_figures(*luma), VIFB.figures(*colour)
        by_colour = {name for name in shared if not np.isclose(ours[name], theirs[name], rtol=1e-9, atol=0)}
        assert by_colour - differ == {"EN", "SD", "SF", "CE"}
        differ |= by_colour
    if convention is CDDFUSE:  # of a flat source alone, which has a test of its own
        assert "VIF" not in differ
        differ.add("VIF")
    assert {name for name in convention.differences if name in METRICS} == differ


@pytest.mark.parametrize("convention", [DEFAULT, ZOO], ids=["rgbt-bench", "ivif-zoo"])
def test_colour_becomes_pillows_luma(convention):
    rgb, thermal, fused = triple(colour=True)
    luma, gray = (np.asarray(Image.fromarray(image).convert("L")) for image in (rgb, fused))
    assert convention.figures(rgb, thermal, fused) == pytest.approx(
        convention.figures(luma, thermal, gray), nan_ok=True
    )
    assert convention.figures(rgb, thermal, gray) == pytest.approx(convention.figures(luma, thermal, gray), nan_ok=True)


@pytest.mark.parametrize(("convention", "gray"), [(TANG, matlab_gray), (CDDFUSE, opencv_gray)], ids=["tang", "cddfuse"])
def test_colour_becomes_the_toolboxs_gray(convention, gray):
    images = triple(colour=True)
    grays = gray(images[0]), images[1], gray(images[2])
    assert convention.figures(*images) == pytest.approx(convention.figures(*grays), nan_ok=True)


def test_matlabs_weights_are_the_first_row_of_the_inverse_of_ntscs_matrix_and_halves_go_away_from_zero():
    weights = np.linalg.inv([[1.0, 0.956, 0.621], [1.0, -0.272, -0.647], [1.0, -1.106, 1.703]])[0]
    random = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert (matlab_gray(random) == np.floor(random @ weights + 0.5)).all()
    gray = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert (matlab_gray(gray)[:, 0] == np.arange(256)).all()


def test_opencvs_gray_is_the_nearest_level():
    random = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    exact = random @ np.array([299, 587, 114])
    clear = exact % 1000 != 500
    assert (opencv_gray(random)[clear] == (exact[clear] + 500) // 1000).all()
    assert (abs(opencv_gray(random) * 1000.0 - exact) <= 500).all()


def test_vifb_takes_each_channel_of_a_colour_image_by_itself():
    rgb, thermal, fused = triple(40, 50, colour=True)
    channels = [VIFB.figures(rgb[..., k], thermal, fused[..., k]) for k in range(3)]
    found = VIFB.figures(rgb, thermal, fused)
    for name in set(VIFB.metrics) - {"SF"}:
        assert_allclose(found[name], np.mean([channel[name] for channel in channels]))


def test_vifb_takes_matlabs_gray_of_rgb_for_a_gray_fused_image_rounded_or_not():
    rgb, thermal, fused = triple(40, 50, colour=True)
    gray = fused[..., 1].copy()
    found, rounded = VIFB.figures(rgb, thermal, gray), VIFB.figures(matlab_gray(rgb), thermal, gray)
    changed = {name for name in VIFB.metrics if found[name] != rounded[name]}
    assert changed <= {"Qabf", "PSNR", "RMSE", "Qcb", "Qcv"}
    assert {"PSNR", "RMSE"} <= changed
    exact = rgb @ np.array([0.298936021293775, 0.587043074451121, 0.114020904255103])
    errors = [np.sqrt(((gray - source) ** 2).sum()) / gray.size for source in (exact, thermal.astype(float))]
    assert_allclose(found["RMSE"], np.mean(errors))


def test_conventions_load_neither_torch_nor_numba_nor_scipy():
    code = "import sys, rgbt_bench.metrics.fusion.conventions; print({'torch', 'numba', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
