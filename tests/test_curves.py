"""The loss curve: an axis that shows every term, whatever its sign."""

import pytest
from matplotlib.axes import Axes
from PIL import Image as Pillow

from rgbt_bench.training.curves import draw_curves


@pytest.mark.parametrize(
    ("last", "scale"), [(0.5, "log"), (-0.5, "symlog"), (0.0, "symlog")], ids=["positive", "negative", "nought"]
)
def test_the_axis_is_logarithmic_and_symmetric_where_a_term_is_not_positive(tmp_path, monkeypatch, last, scale):
    scales = []
    plain = Axes.set_yscale

    def noted(axes, value, **more):
        scales.append(value)
        plain(axes, value, **more)

    monkeypatch.setattr(Axes, "set_yscale", noted)
    history = [
        {"epoch": 1, "train": {"total": 2.0, "target": 1.0}, "val": {"total": 3.0}},
        {"epoch": 2, "train": {"total": 1.5, "target": last}, "val": {}},
    ]
    draw_curves(history, tmp_path / "losses.png")
    assert scales == [scale]
    with Pillow.open(tmp_path / "losses.png") as opened:
        assert opened.format == "PNG"
