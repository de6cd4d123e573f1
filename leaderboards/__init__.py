"""The data of the leaderboards: frozen protocols, rows, and the papers' own figures."""
