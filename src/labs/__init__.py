"""The practicals of five deep-learning vision courses, as one PyTorch Lightning + Hydra codebase."""


class LabsError(Exception):
    """Tell the user what was expected, what was found and what to type instead.

    The command line prints the message alone, without a traceback, and exits with code 2.
    """
