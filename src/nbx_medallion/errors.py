"""The one error for what a user can cause."""

import click


class UserError(click.ClickException):
    """Something a user can cause and mend.

    The message names the subject, what was expected, what was found and what to do. It is shown
    alone on stderr, without a stack trace, and ends the command with exit code 1.
    """

    def __str__(self) -> str:
        return self.message
