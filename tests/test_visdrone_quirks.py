"""Each quirk of the VisDrone toolkit on a case whose figures can be worked out by hand."""

import numpy as np
import pytest

import visdrone_reference as reference
from rgbt_bench.metrics import visdrone
from visdrone_images import arrays, figures, found, image, label, random_images

BOX = (10, 10, 10, 10)


def both(images, **options):
    """The figures of the official and of the clean protocol; the slow reference, given sorted files, agrees."""
    others = options.get("others")
    in_order = [one | {"detections": sorted(one["detections"], key=lambda row: -row[4])} for one in images]
    told = []
    for official, slow in ((True, reference.official), (False, reference.clean)):
        ours, per_class = figures(images, 3, official, **options)
        theirs, their_classes = slow(in_order, 3, others)
        assert ours == pytest.approx(theirs, abs=1e-12)
        assert [one and pytest.approx(one, abs=1e-12) for one in their_classes] == per_class
        told.append(ours)
    return tuple(told)


def kept(box, regions, size=(60, 40)):
    """Whether a label and a detection of this place are left over."""
    one = image([label(*box)], [found(*box)], regions, size)
    labels, detections = reference.left_over(one)
    truth, rows, ignored = arrays([one], 1)
    inside = visdrone.are_in_regions(truth.bbox, truth.sample_index, ignored)
    assert list(inside) == list(visdrone.are_in_regions(rows.bbox, rows.sample_index, ignored))
    assert len(labels) == len(detections) == int(not inside[0])
    return not inside[0]


def test_a_class_counts_as_often_as_there_are_images_with_it():
    images = [image([label(*BOX)], [found(*BOX)]) for _ in range(3)]
    images.append(image([label(*BOX, category=1)]))
    official, clean = both(images)
    assert official["AP"] == official["AR500"] == 3 / 4  # (3 * 1 + 1 * 0) / 4
    assert clean["AP"] == clean["AR500"] == 1 / 2


def test_ignored_labels_are_in_the_official_recalls_denominator():
    images = [image([label(*BOX), label(40, 5, 10, 10, ignored=True)], [found(*BOX)])]
    official, clean = both(images)
    assert (official["AP"], official["AR500"]) == (0.5, 0.5)
    assert (clean["AP"], clean["AR500"]) == (1.0, 1.0)


def test_a_class_of_ignored_labels_alone_is_averaged_officially():
    images = [image([label(*BOX), label(40, 5, 10, 10, 1, ignored=True)], [found(*BOX), found(40, 5, 10, 10, 0.9, 1)])]
    official, clean = both(images)
    assert (official["AP"], clean["AP"]) == (0.5, 1.0)
    _, per_class = figures(images, 3, official=False)
    assert per_class == [(1.0, 1.0, 1.0, 1.0), None, None]


def test_many_detections_in_an_ignored_label_count_neither_way():
    inside = [found(40, 5, 4, 4, 0.9), found(44, 8, 5, 5, 0.8)]
    images = [image([label(*BOX), label(40, 5, 10, 10, ignored=True)], [*inside, found(*BOX, 0.5)])]
    assert [one["AP"] for one in both(images)] == [0.5, 1.0]
    # of another class they are false positives: precision 1/2 at the hit
    wrong = [(*one[:5], 1) for one in inside]
    images = [image([label(*BOX), label(1, 1, 4, 4, 1)], [*wrong, found(*BOX), found(1, 1, 4, 4, 0.5, 1)])]
    assert both(images)[1]["AP"] == pytest.approx((1 + 1 / 3) / 2, abs=1e-15)


def test_the_area_is_under_every_point():
    labels = [label(*BOX), label(30, 10, 10, 10), label(45, 25, 5, 5)]
    images = [image(labels, [found(*BOX, 0.9), found(1, 1, 3, 3, 0.8), found(30, 10, 10, 10, 0.7)])]
    assert both(images)[0]["AP"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 2 / 3, abs=1e-15)


@pytest.mark.parametrize(("height", "thresholds"), [(8, 7), (9, 9), (6, 3), (7, 5)])
def test_thresholds_are_matlabs_and_an_overlap_on_one_counts(height, thresholds):
    images = [image([label(*BOX)], [found(10, 10, 10, height)])]
    assert both(images)[0]["AP"] == pytest.approx(thresholds / 10, abs=1e-15)


def test_half_of_a_box_in_a_region_is_enough():
    # the box has the columns 11 to 20 and the region 1 to 1 + width
    assert not kept(BOX, [(1, 1, 14, 30)])
    assert kept(BOX, [(1, 1, 13, 30)])
    assert kept(BOX, [])
    assert not kept(BOX, [BOX])
    # pixels in two regions count once
    assert kept(BOX, [(1, 1, 13, 30)] * 2)
    assert not kept(BOX, [(1, 1, 12, 30), (19, 1, 9, 30)])


@pytest.mark.parametrize(("x", "left"), [(10, False), (10.49, False), (10.5, True), (9.5, False), (11, True)])
def test_half_pixels_are_rounded_up(x, left):
    assert kept((x, 10, 10, 10), [(1, 1, 14, 30)]) == left


def test_boxes_and_regions_beyond_the_image():
    # of the columns 56 to 65, five are in the image, and in the region
    assert not kept((55, 10, 10, 10), [(50, 1, 30, 38)])
    assert kept((56, 10, 10, 10), [(50, 1, 30, 38)])
    # wholly outside, nothing of a box is in a region
    assert kept((70, 10, 10, 10), [(1, 1, 60, 40)])
    # what begins before the image is moved into it, whole
    assert not kept((-8, 10, 10, 10), [(1, 1, 5, 38)])
    assert not kept((1, 10, 10, 10), [(-20, 1, 5, 38)])
    # a region outside covers nothing
    assert kept(BOX, [(61, 1, 10, 10), (1, 41, 10, 10)])


def test_a_region_or_a_box_without_area_is_a_pixel_wide():
    assert not kept((0, 0, 2, 2), [(1, 0, 0, 30)])  # the columns 1 and 2, of the box's 2 and 3
    assert not kept((10, 10, 0, 5), [(8, 1, 6, 38)])
    assert kept((10, 10, 0, 5), [(1, 1, 6, 38)])


def test_only_images_with_regions_lose_boxes():
    images = [image([label(*BOX)], [found(*BOX)], [(1, 1, 30, 30)]), image([label(*BOX)])]
    assert both(images)[0]["AP"] == 0.0
    images = [image([label(*BOX)], [found(*BOX)], [(1, 1, 30, 30)])]
    assert all(value is None for told in both(images) for value in told.values())


def crowd(count, score, category=0, x=1.0):
    return [found(x, 1, 3, 3, score, category) for _ in range(count)]


@pytest.mark.parametrize(("count", "recall"), [(499, 1.0), (500, 0.0)])
def test_five_hundred_detections_of_all_classes_are_looked_at(count, recall):
    images = [image([label(*BOX)], [*crowd(count, 0.9, category=1), found(*BOX, 0.5)])]
    official, clean = both(images)
    assert official["AR500"] == clean["AR500"] == recall
    assert (official["AR100"], official["AR10"]) == (0.0, 0.0)


def test_one_detection_an_image_over_all_classes_for_ar1():
    images = [image([label(*BOX), label(30, 10, 5, 5, 1)], [found(*BOX, 0.9), found(30, 10, 5, 5, 0.8, 1)])]
    official, _ = both(images)
    assert (official["AR1"], official["AR10"]) == (0.5, 1.0)


def test_what_is_in_a_region_takes_no_place():
    images = [image([label(*BOX)], [*crowd(600, 0.9, x=50), found(*BOX, 0.5)], [(40, 1, 20, 20)])]
    official, clean = both(images)
    assert official["AR1"] == clean["AP"] == 1.0


def test_others_hold_a_place_in_the_toolkit_and_take_no_other_part():
    rows = [found(*BOX, 0.5), *crowd(10, 0.9, category=2)]
    images = [image([label(*BOX), label(1, 1, 3, 3, 2)], rows)]
    official, clean = both(images, others=2)
    assert (official["AR10"], official["AR100"], official["AP"]) == (0.0, 1.0, 1.0)
    assert (clean["AR1"], clean["AP"]) == (1.0, 1.0)
    only = [image([label(1, 1, 3, 3, 2)], crowd(3, 0.9, category=2))]
    assert all(value is None for told in both(only, others=2) for value in told.values())


@pytest.mark.parametrize("seed", range(15))
def test_what_the_converter_marks_as_ignored_changes_no_official_figure(seed):
    """It marks others and boxes without area, which the toolkit counts as labels that nobody can find."""
    images = random_images(np.random.default_rng(seed), n_images=4, n_classes=4)
    marked = [one | {"labels": [_marked(*box) for box in one["labels"]]} for one in images]
    plain = [
        one | {"labels": [(*box[:4], box[4] and box[2] * box[3] > 0 and box[5] != 3, box[5]) for box in one["labels"]]}
        for one in images
    ]
    assert marked != plain
    assert figures(marked, 4, True, 3) == figures(plain, 4, True, 3)


def _marked(x, y, w, h, ignored, category):
    return (x, y, w, h, ignored or category == 3 or w * h == 0, category)


def test_sizes_are_cocos_in_the_clean_protocol():
    # 32 * 32 is small and medium
    images = [image([label(1, 1, 32, 32)], [found(1, 1, 32, 32)], size=(300, 300))]
    assert [both(images)[1][name] for name in ("AP_S", "AP_M", "AP_L")] == [1.0, 1.0, None]
    # a miss that is large costs the others nothing, and a false positive counts in its own range alone
    labels = [label(1, 1, 5, 5), label(50, 50, 100, 100)]
    images = [image(labels, [found(1, 1, 5, 5, 0.5), found(200, 200, 60, 60, 0.9)], size=(300, 300))]
    clean = both(images)[1]
    assert (clean["AP_S"], clean["AP_M"], clean["AP_L"]) == (1.0, None, 0.0)
    assert clean["AP"] == pytest.approx(0.25, abs=1e-15)  # half of the labels at precision 1/2


@pytest.mark.parametrize("official", [True, False])
def test_nothing_to_find_is_none_and_nothing_found_is_zero(official):
    empty = [image(), image(detections=[found(*BOX)])]
    for images in (empty, empty[:1], [image(regions=[BOX])], []):
        overall, per_class = figures(images, 3, official)
        assert set(overall.values()) == {None}
        assert per_class == [None] * 3
    overall, per_class = figures([*empty, image([label(*BOX)])], 3, official)
    assert {overall[name] for name in ("AP", "AP50", "AP75", "AR1", "AR500")} == {0.0}
    assert per_class == [(0.0,) * 4, None, None]


@pytest.mark.parametrize("official", [True, False])
@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_labels_detections_and_regions_decides_nothing(seed, official):
    rng = np.random.default_rng(seed)
    images = random_images(rng, most=30)
    sides = ("labels", "detections", "regions")
    mixed = [one | {side: [one[side][i] for i in rng.permutation(len(one[side]))] for side in sides} for one in images]
    assert figures(images, 4, official, 3) == figures(mixed, 4, official, 3)


def test_counts_are_of_what_is_left_over():
    one = image(
        [label(*BOX), label(*BOX, 1, ignored=True), label(40, 5, 5, 5, ignored=True)], regions=[(38, 1, 20, 30)]
    )
    looked = visdrone.scored(*arrays([one, image([label(*BOX)])], 3), [2], True)
    assert visdrone.counts(looked) == [
        {"ground_truths": 2, "ignored_ground_truths": 0, "samples": 2},
        {"ground_truths": 0, "ignored_ground_truths": 1, "samples": 1},
        {"ground_truths": 0, "ignored_ground_truths": 0, "samples": 0},
    ]


def test_wrong_arguments_are_refused():
    truth, detections, ignored = arrays([image([label(*BOX)], [found(*BOX)])], 1)
    _, _, other = arrays([image(), image()], 1)
    with pytest.raises(ValueError, match="regions of 2 samples, labels of 1"):
        visdrone.scored(truth, detections, other, [], True)
    outcomes = visdrone.encode(visdrone.scored(truth, detections, ignored, [], True))
    for wrong in (np.ones((1, 1)), np.ones((1, 2), dtype=np.int32), -np.ones((1, 1), dtype=np.int32)):
        with pytest.raises(ValueError, match="weight"):
            visdrone.resampled_figures(outcomes, wrong)
    with pytest.raises(ValueError, match="category must lie in"):
        visdrone.scored(truth, arrays([image([], [found(*BOX, 0.5, 3)])], 4)[1], ignored, [], True)
