"""A converted set as files of the field's formats, with a description from which it can be converted again."""
