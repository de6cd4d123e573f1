import math
import warnings

import pytest
import timm
import torch
from pydantic import ValidationError
from safetensors.torch import save_file
from torch.utils.flop_counter import FlopCounterMode

from rgbt_baselines.ffkd.backbone import build_backbone, load_backbone
from rgbt_baselines.ffkd.model import (
    Branch,
    DetectionConfig,
    DetectionHead,
    DetectorConfig,
    FusionDetector,
    freeze_backbones,
    parameter_counts,
    set_train_mode,
)
from rgbt_bench.errors import BadInputError, MissingError, UsageError

QUICK = {"num_classes": 3, "image_size": 96, "fpn_channels": 48, "fpn_cells": 2, "drop_path": 0, "norm_momentum": 0.1}
PAPER = {"teacher": "tf_efficientnet_b1.in1k", "student": "tf_mobilenetv3_large_075.in1k"}


@pytest.fixture
def quick():
    torch.manual_seed(0)
    return FusionDetector(DetectorConfig(backbone="lcnet_050", **QUICK))


def batch_of(boxes, labels, images=2):
    boxes, labels = torch.tensor(boxes, dtype=torch.float32), torch.tensor(labels)
    return boxes.reshape(1, -1, 4).repeat(images, 1, 1), labels.reshape(1, -1).repeat(images, 1)


# Table I: 12.2 / 0.78 / 0.064 / 13.2 / 1 and 3.5 / 0.95 / 0.064 / 4.8 / 1.24 million; MACs of a fused pass at 640
@pytest.mark.parametrize(
    ("row", "counts", "macs"),
    [
        ("teacher", (12_202_048, 781_944, 64_215, 13_275_307, 1_073_259), 10.47e9),
        ("student", (3_579_296, 951_256, 64_215, 4_821_867, 1_242_571), 4.02e9),
    ],
)
def test_the_papers_detectors_have_its_parameters_shapes_and_macs(row, counts, macs):
    with torch.device("meta"):
        model = FusionDetector(DetectorConfig(backbone=PAPER[row], num_classes=3)).eval()
        images = torch.empty(1, 3, 640, 640)
    assert tuple(parameter_counts(model).values()) == counts
    assert list(parameter_counts(model)) == ["backbone", "bifpn", "head", "total", "trainable"]
    assert sum(p.numel() for p in model.fusion_cbam.parameters()) == 98_670
    freeze_backbones(model)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == counts[-1]
    with FlopCounterMode(display=False) as counter:
        outputs = model(images, images)
    assert counter.get_total_flops() / 2 == pytest.approx(macs, rel=1e-3)
    for maps, channels in ((outputs.cls, 27), (outputs.box, 36), (outputs.fused, 88)):
        assert [tuple(level.shape) for level in maps] == [(1, channels, side, side) for side in (80, 40, 20, 10, 5)]


def test_quick_detector_has_five_levels_at_96():
    model = FusionDetector(DetectorConfig(backbone="mobilenetv4_conv_small_050", **QUICK)).eval()
    with torch.no_grad():
        outputs = model(torch.randn(2, 3, 96, 96), torch.randn(2, 3, 96, 96))
        cls, box = model.thermal(torch.randn(2, 3, 96, 96))
    for maps, channels in ((outputs.cls, 27), (outputs.box, 36), (outputs.fused, 48), (cls, 27), (box, 36)):
        assert [tuple(level.shape) for level in maps] == [(2, channels, side, side) for side in (12, 6, 3, 2, 1)]


@pytest.mark.parametrize("size", [(72, 104), (480, 640), (100, 165)])
def test_sizes_that_no_stride_divides_have_one_anchor_a_place(size):
    config = DetectorConfig(backbone="lcnet_050", **{**QUICK, "image_size": size})
    with torch.device("meta"):
        maps = Branch(config).eval().features(torch.empty(1, 3, *size))
    head = DetectionHead(config)
    assert [tuple(level.shape[-2:]) for level in maps] == list(head.anchors.feat_sizes[3:])
    assert len(head.anchors.boxes) == 9 * sum(level.shape[-2] * level.shape[-1] for level in maps)


def test_another_size_than_the_configured_is_refused(quick):
    with pytest.raises(ValueError, match=r"images of \(128, 96\) in a detector built for \(96, 96\)"):
        quick(torch.zeros(1, 3, 128, 96), torch.zeros(1, 3, 128, 96))


def test_cbam_fusion_by_hand(quick):
    fusion = quick.fusion_cbam[0]
    thermal, rgb = torch.randn(2, 2, 48, 3, 4)
    maps = torch.cat([thermal, rgb], 1)
    first, last = fusion.mlp[0], fusion.mlp[2]

    def mlp(vector):
        return last.weight @ (first.weight @ vector + first.bias).relu() + last.bias

    with torch.no_grad():
        fused = fusion(thermal, rgb)
        for image, expected in zip(maps, fused, strict=True):
            flat = image.flatten(1)
            gate = 1 / (1 + torch.exp(-(mlp(flat.mean(1)) + mlp(flat.max(1).values))))
            kernel = fusion.reduce.weight[:, :, 0, 0]
            reduced = (kernel @ (flat * gate[:, None]) + fusion.reduce.bias[:, None]).view(48, 3, 4)
            padded = torch.nn.functional.pad(torch.stack([reduced.mean(0), reduced.max(0).values]), (3, 3, 3, 3))
            spatial = torch.empty(3, 4)
            for y in range(3):
                for x in range(4):
                    window = padded[:, y : y + 7, x : x + 7]
                    spatial[y, x] = (fusion.spatial.weight[0] * window).sum() + fusion.spatial.bias[0]
            torch.testing.assert_close(expected, reduced * spatial.sigmoid(), atol=1e-5, rtol=1e-4)


def test_initialisation_is_effdets_or_torchs_and_the_fused_head_is_always_effdets():
    prior = -math.log(99)
    for init in ("effdet", "torch"):
        model = FusionDetector(DetectorConfig(backbone="lcnet_050", head_init=init, **QUICK))
        bias = model.rgb.class_net.predict.conv_pw.bias
        assert torch.all(bias == prior).item() == (init == "effdet")
        assert torch.all(model.fused_class_net.predict.conv_pw.bias == prior)
        assert torch.all(model.fused_box_net.predict.conv_pw.bias == 0)


def test_batch_norm_settings_reach_the_neck_and_the_heads_alone():
    model = Branch(DetectorConfig(backbone="lcnet_050", **{**QUICK, "norm_momentum": 0.07, "norm_eps": 2e-3}))
    norms = {name: m for name, m in model.named_modules() if isinstance(m, torch.nn.BatchNorm2d)}
    chosen = {name for name, norm in norms.items() if (norm.momentum, norm.eps) == (0.07, 2e-3)}
    assert chosen == {name for name in norms if not name.startswith("backbone")}


def step(model, head):
    rgb, thermal = torch.randn(2, 2, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    boxes, labels = batch_of([[10, 10, 50, 42]], [2])
    optimizer = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=1e-4)
    outputs = model(rgb, thermal)
    loss = head.loss(outputs.cls, outputs.box, boxes, labels).total
    loss.backward()
    optimizer.step()
    outputs = model(rgb, thermal)
    return loss.item(), head.loss(outputs.cls, outputs.box, boxes, labels).total.item()


def snapshot(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before, model):
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def test_train_rule_moves_weights_and_all_statistics_but_no_backbone_weight(quick):
    freeze_backbones(quick)
    set_train_mode(quick, "train")
    before = snapshot(quick)
    first, second = step(quick, DetectionHead(DetectorConfig(backbone="lcnet_050", **QUICK)))
    moved = changed(before, quick)
    assert second < first
    assert any(name.startswith("rgb.backbone") and name.endswith(STATISTICS) for name in moved)
    assert any(name.startswith("thermal.bifpn") and name.endswith(STATISTICS) for name in moved)
    assert not any(".backbone." in name and not name.endswith(STATISTICS) for name in moved)


def test_fusion_cbam_only_rule_holds_statistics_but_not_weights(quick):
    freeze_backbones(quick)
    set_train_mode(quick, "fusion_cbam_only")
    training = {name for name, module in quick.named_modules() if module.training}
    assert training == {name for name, _ in quick.named_modules() if "fusion_cbam" in name}
    before = snapshot(quick)
    first, second = step(quick, DetectionHead(DetectorConfig(backbone="lcnet_050", **QUICK)))
    moved = changed(before, quick)
    assert second < first
    assert not any(name.endswith(STATISTICS) for name in moved)
    assert any(name.startswith("rgb.bifpn") and name.endswith("bn.weight") for name in moved)
    assert any(name.startswith("fusion_cbam") for name in moved)
    assert not any(".backbone." in name for name in moved)
    set_train_mode(quick, "train")
    assert all(module.training for module in quick.modules())


@pytest.fixture(scope="module")
def wide():
    """A head for images of 96 x 128 (height x width), so that swapped axes show."""
    return DetectionHead(DetectorConfig(backbone="lcnet_050", **{**QUICK, "image_size": (96, 128)}))


def empty_outputs(head, images=1):
    sizes = head.anchors.feat_sizes[3:]
    cls = [torch.full((images, 27, *size), -20.0) for size in sizes]
    return cls, [torch.zeros(images, 36, *size) for size in sizes]


def test_a_hand_made_logit_and_code_decode_to_the_box_in_xyxy(wide):
    cls, box = empty_outputs(wide)
    # P3, row 2, column 5: centre (44, 20); anchor 4 is 4 strides x 2^(1/3) = 40.3175 by (1.4, 0.7): 56.4444 x 28.2222
    cls[0][0, 4 * 3 + 1, 2, 5] = 2.0
    (found,) = wide.decode(cls, box)
    torch.testing.assert_close(found.boxes, torch.tensor([[15.7778, 5.8889, 72.2222, 34.1111]]), atol=1e-3, rtol=0)
    assert found.scores.tolist() == pytest.approx([0.880797], abs=1e-5)
    assert found.labels.tolist() == [1]
    # codes are ty, tx, th, tw: down by half a height, left by a quarter width, twice as high
    box[0][0, 4 * 4 : 4 * 4 + 4, 2, 5] = torch.tensor([0.5, -0.25, math.log(2), 0.0])
    (moved,) = wide.decode(cls, box)
    torch.testing.assert_close(moved.boxes, torch.tensor([[1.6667, 5.8889, 58.1111, 62.3333]]), atol=1e-3, rtol=0)
    (scaled,) = wide.decode(cls, box, torch.tensor([2.0]), torch.tensor([[100.0, 200.0]]))
    torch.testing.assert_close(scaled.boxes, torch.tensor([[3.3333, 11.7778, 100.0, 124.6667]]), atol=1e-3, rtol=0)


def test_decoding_clips_suppresses_and_drops_low_scores(wide):
    cls, box = empty_outputs(wide, images=2)
    cls[0][0, 0, 0, 0] = 3.0  # a corner anchor that reaches over the edge
    cls[0][0, 3, 0, 0] = 1.0  # its neighbour of another octave: IoU 0.63 before clipping
    cls[0][0, 1, 0, 0] = 2.0  # the same anchor as another class
    cls[4][1, 0, 0, 0] = math.log(0.0009 / 0.9991)
    first, second = wide.decode(cls, box)
    assert first.labels.tolist() == [0, 1]
    assert first.boxes.min() >= 0
    assert first.boxes[:, 2].max() <= 128
    assert len(second.boxes) == len(second.scores) == len(second.labels) == 0
    limited = DetectionHead(
        DetectorConfig(backbone="lcnet_050", **{**QUICK, "image_size": (96, 128)}),
        DetectionConfig(max_detections=1, min_score=0.0),
    )
    assert [len(found.boxes) for found in limited.decode(cls, box)] == [1, 1]


def test_encoding_and_decoding_give_the_ground_truth_back(wide):
    truth = torch.tensor([[5.0, 8.0, 45.0, 40.0], [60.0, 20.0, 120.0, 90.0], [50.0, 2.0, 72.0, 30.0]])
    boxes, labels = truth[None], torch.tensor([[2, 0, 1]])
    cls_targets, box_targets, positives = wide.targets(boxes, labels)
    assert positives.item() == sum((level >= 0).sum().item() for level in cls_targets) >= 3
    cls, box = empty_outputs(wide)
    for level, targets in enumerate(cls_targets):
        _, height, width, anchors = targets.shape
        _, y, x, anchor = (targets >= 0).nonzero(as_tuple=True)
        cls[level].view(1, anchors, 3, height, width)[0, anchor, targets[0, y, x, anchor], y, x] = 5.0
        box[level] = box_targets[level].permute(0, 3, 1, 2)
    (found,) = wide.decode(cls, box)
    order = found.labels.argsort()
    assert found.labels[order].tolist() == [0, 1, 2]
    torch.testing.assert_close(found.boxes[order], truth[[1, 2, 0]], atol=1e-3, rtol=0)


def test_targets_are_deterministic_and_blind_to_padding_and_boxes_without_area(wide):
    boxes, labels = batch_of([[5, 8, 45, 40], [6, 8, 45, 40]], [1, 2])
    padded = batch_of([[5, 8, 45, 40], [0, 0, 0, 0], [6, 8, 45, 40], [30, 9, 30, 40]], [1, -1, 2, 0])
    once, again, other = wide.targets(boxes, labels), wide.targets(boxes, labels), wide.targets(*padded)
    torch.testing.assert_close(once, again, rtol=0, atol=0)
    torch.testing.assert_close(once, other, rtol=0, atol=0)


def test_an_image_without_boxes_is_all_background(wide):
    cls, box = empty_outputs(wide, images=2)
    for boxes, labels in (
        (torch.zeros(2, 0, 4), torch.zeros(2, 0, dtype=torch.long)),
        (torch.zeros(2, 3, 4), torch.full((2, 3), -1)),
    ):
        cls_targets, _, positives = wide.targets(boxes, labels)
        assert all((level == -1).all() for level in cls_targets)
        assert positives.tolist() == [0, 0]
        losses = wide.loss(cls, box, boxes, labels)
        assert losses.box.item() == 0
        assert 0 <= losses.total.item() < 1e-6
    mixed = wide.loss(cls, box, torch.tensor([[[5.0, 8, 45, 40]], [[0, 0, 0, 0]]]), torch.tensor([[1], [-1]]))
    assert mixed.box.item() > 0
    assert mixed.total.item() == pytest.approx(mixed.classification.item() + 50 * mixed.box.item(), rel=1e-5)


def test_focal_and_huber_loss_by_hand(wide):
    settings = DetectionConfig(box_weight=10)
    head = DetectionHead(DetectorConfig(backbone="lcnet_050", **{**QUICK, "image_size": (96, 128)}), settings)
    # the anchor of P3, row 2, column 5, octave 0, square: matched by itself and, above IoU 0.5, by its neighbours
    boxes, labels = batch_of([[28, 4, 60, 36]], [1], images=1)
    cls_targets, box_targets, positives = head.targets(boxes, labels)
    assert cls_targets[0][0, 2, 5, 0] == 1
    cls, box = empty_outputs(head)
    for level in range(5):
        box[level] = torch.where(box_targets[level] != 0, box_targets[level] + 0.3, 0).permute(0, 3, 1, 2)
    n = positives.item()
    codes = sum((level != 0).sum().item() for level in box_targets)
    losses = head.loss(cls, box, boxes, labels)
    # logit -20 on a positive: 0.25 x (1 - 0)^1.5 x 20; Huber at 0.3 with delta 0.1: 0.005 + 0.02
    assert losses.classification.item() == pytest.approx(n * 0.25 * 20 / (n + 1), rel=1e-4)
    assert losses.box.item() == pytest.approx(codes * 0.025 / (4 * (n + 1)), rel=1e-4)
    assert losses.total.item() == pytest.approx(losses.classification.item() + 10 * losses.box.item(), rel=1e-6)


def test_pretrained_weights_from_a_file_need_every_key_and_no_stranger(tmp_path):
    whole = timm.create_model("lcnet_050", num_classes=5).state_dict()
    for path in (tmp_path / "w.safetensors", tmp_path / "w.pth"):
        save_file(whole, path) if path.suffix == ".safetensors" else torch.save(whole, path)
        backbone = build_backbone("lcnet_050", 0.0)
        load_backbone(backbone, "lcnet_050", str(path))
        assert all(torch.equal(value, whole[key]) for key, value in backbone.state_dict().items())
    bad = {key: value for key, value in whole.items() if key != "bn1.weight"}
    bad["conv_stem.weight"] = torch.zeros(8, 1, 3, 3)
    bad["adapter.weight"] = torch.zeros(1)
    save_file(bad, tmp_path / "bad.safetensors")
    with pytest.raises(BadInputError) as caught:
        load_backbone(build_backbone("lcnet_050", 0.0), "lcnet_050", str(tmp_path / "bad.safetensors"))
    for fault in ("missing bn1.weight", "conv_stem.weight has shape (8, 1, 3, 3), not ", "unexpected adapter.weight"):
        assert fault in str(caught.value)
    assert "classifier" not in str(caught.value)


def test_files_that_are_not_plain_weights_are_refused(tmp_path):
    backbone = build_backbone("lcnet_050", 0.0)
    with pytest.raises(MissingError, match=r"no such file \(pretrained is none, timm, or a weights file\)"):
        load_backbone(backbone, "lcnet_050", "imagenet")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    (tmp_path / "junk.pth").write_bytes(b"junk")
    torch.save(build_backbone, tmp_path / "code.pth")
    torch.save({"epoch": 3}, tmp_path / "run.pth")
    for name in ("junk.safetensors", "junk.pth", "code.pth", "run.pth"):
        with pytest.raises(BadInputError, match=name):
            load_backbone(backbone, "lcnet_050", str(tmp_path / name))


def test_an_unreachable_hub_is_one_sentence_with_the_ways_out(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    backbone = build_backbone("lcnet_050.ra2_in1k", 0.0)
    with pytest.raises(MissingError) as caught:
        load_backbone(backbone, "lcnet_050.ra2_in1k", "timm")
    assert str(caught.value) == (
        "pretrained weights 'lcnet_050.ra2_in1k' could not be fetched because the Hugging Face Hub could not be "
        "reached: name a local file with --set pretrained=FILE, or start from random weights with "
        "--set pretrained=none and --set model.freeze_backbones=false"
    )


def test_names_that_do_not_work_are_usage_errors():
    for name, message in (
        ("lcnet_51", "unknown backbone 'lcnet_51'"),
        ("lcnet_050.nope", "Invalid pretrained tag"),
        ("convnext_atto", "'convnext_atto'"),
    ):
        with pytest.raises(UsageError, match=message):
            build_backbone(name, 0.0)
    backbone = build_backbone("lcnet_050", 0.0)
    with pytest.raises(UsageError, match="names no pretrained tag"):
        load_backbone(backbone, "lcnet_050", "timm")


def test_configuration_is_checked_and_frozen():
    assert DetectorConfig(backbone="lcnet_050", num_classes=3, image_size=64).image_size == (64, 64)
    assert DetectorConfig(backbone="lcnet_050", num_classes=3, image_size=[96, 128]).image_size == (96, 128)
    for wrong in (
        {"image_size": 16},
        {"image_size": [64, 128]},
        {"image_sze": 64},
        {"num_classes": 0},
        {"head_init": "tf"},
        {"fpn_cells": 0},
    ):
        with pytest.raises(ValidationError):
            DetectorConfig(**{"backbone": "lcnet_050", "num_classes": 3, **wrong})
    with pytest.raises(ValidationError):
        DetectorConfig(backbone="lcnet_050", num_classes=3).num_classes = 4


def test_a_pass_warns_of_nothing(quick):
    head = DetectionHead(DetectorConfig(backbone="lcnet_050", **QUICK))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        outputs = quick(torch.randn(2, 3, 96, 96), torch.randn(2, 3, 96, 96))
        head.loss(outputs.cls, outputs.box, *batch_of([[10, 10, 50, 42]], [2])).total.backward()
        head.decode(outputs.cls, outputs.box)
