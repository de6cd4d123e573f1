"""Reading, writing and naming datasets in the RGB-T schema, and the embedded sample set."""
