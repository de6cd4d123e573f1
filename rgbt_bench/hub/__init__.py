"""The Hugging Face Hub: converted sets and runs that are pushed there, pulled from there and read from there."""
