"""Label formats that several datasets share."""
