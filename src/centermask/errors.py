"""The one exception a user can cause: a sentence that says what came, what was expected, and the mend."""


class UserError(Exception):
    """Something a user gave cannot be used.

    The message is one line that names the file and the mend. The command line prints it without a traceback and exits
    with code 2; Python callers can catch it.
    """
