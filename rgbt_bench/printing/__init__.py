"""What a person sees; one file of functions for each file of commands."""
