"""What an entry may bring to the leaderboard, checked from its bytes alone: without labels, torch or its own code."""

from rgbt_bench.leaderboard.checking.changes import Change
from rgbt_bench.leaderboard.checking.checker import Base, check_changes
from rgbt_bench.leaderboard.checking.folder import check_folder
from rgbt_bench.leaderboard.checking.git import check_git
from rgbt_bench.leaderboard.checking.reporting import RULES, Fault, NewRow, Report

__all__ = ["RULES", "Base", "Change", "Fault", "NewRow", "Report", "check_changes", "check_folder", "check_git"]
