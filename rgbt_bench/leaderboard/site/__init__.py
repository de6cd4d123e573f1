"""The leaderboard's pages: static, readable without JavaScript, and complete when opened from a disk."""
