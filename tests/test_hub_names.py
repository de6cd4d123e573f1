"""How repositories of the Hub are named."""

import pytest

from rgbt_bench.errors import UsageError
from rgbt_bench.hub.names import HubName, is_hub_name, parse_hub_name, parse_target

SHA = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("ann/flir", HubName("ann/flir")),
        ("hub:ann/flir", HubName("ann/flir")),
        ("hub:ann/flir@main", HubName("ann/flir", "main")),
        (f"hub:The-Lab/m3fd_v1.2@{SHA}", HubName("The-Lab/m3fd_v1.2", SHA)),
        ("ann/flir@refs/pr/1", HubName("ann/flir", "refs/pr/1")),
    ],
)
def test_a_name_is_read(text, name):
    assert parse_hub_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "", "flir", "hub:", "hub:flir", "ann/", "/flir", "ann/flir/x", "ann/../flir", "ann/fl ir", "ann/fl--ir",
        "ann/.flir", "ann/flir.", "ann/flir.git", "ann/fl\u0131r", "ann/flir@", "ann/flir@../x", "ann/flir@a b",
        "https://huggingface.co/ann/flir", "datasets/ann/flir", "ann/" + "x" * 96, "ann/flir\n", "ann/flir@main\n",
        "-ann/flir",
    ],
)  # fmt: skip
def test_what_names_no_repository_is_refused_with_the_form(text):
    with pytest.raises(UsageError, match=r"OWNER/NAME|after the @"):
        parse_hub_name(text)


@pytest.mark.parametrize(("revision", "pinned"), [(SHA, True), (SHA[:12], False), ("main", False), (None, False)])
def test_only_a_whole_commit_pins(revision, pinned):
    assert HubName("ann/flir", revision).is_pinned is pinned


def test_a_name_prints_as_it_is_written():
    for text in ("hub:ann/flir", f"hub:ann/flir@{SHA}"):
        assert str(parse_hub_name(text)) == text
        assert is_hub_name(text)
    assert not is_hub_name("ann/flir")


def test_a_push_goes_to_the_head():
    assert parse_target("ann/flir") == HubName("ann/flir")
    with pytest.raises(UsageError, match="leave @main out"):
        parse_target("ann/flir@main")
