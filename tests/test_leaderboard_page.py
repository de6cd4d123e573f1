"""The reference of the leaderboard names what there is."""

from pathlib import Path

from rgbt_bench.leaderboard.checking import RULES
from rgbt_bench.leaderboard.rows import Entry, Row, ScoredRun, Size
from rgbt_bench.leaderboard.submitting import EntryFile

PAGE = (Path(__file__).parent.parent / "docs" / "reference" / "leaderboard.md").read_text(encoding="utf-8")


def test_every_rule_is_there_with_its_reason():
    for name, rule in RULES.items():
        assert f"| `{name}` | {rule.why} | {rule.do} |" in PAGE


def test_every_key_is_there():
    for model in (Row, Entry, ScoredRun, Size, EntryFile):
        for key in model.model_fields:
            assert f"`{key}`" in PAGE or f".{key}`" in PAGE, key
