"""The frozen tracks, the papers' figures and the tables made of them."""
