"""The one exception for input that a person can put right."""


class InputError(ValueError):
    """Bad input, told in one line: what is wrong, where (file, line, field) and what to do. The CLI exits with 2."""
