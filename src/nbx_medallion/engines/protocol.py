"""What an engine is."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Engine(Protocol):
    """Something that gives a Spark session and can be stopped."""

    def start(self) -> "SparkSession":
        """Start the engine.

        Raises:
            UserError: Something it needs is missing; the message says what to install.
        """

    def stop(self) -> None:
        """Stop what `start` started, and nothing else."""
