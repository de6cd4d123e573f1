"""Reading archives without trusting them: by an index of ours, and nothing is written by a member's name."""
