"""The session that is already there: a Databricks runtime's, or a notebook's own."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# What the pipelines rely on, and a runtime may set otherwise.
_SETTINGS = {"spark.sql.session.timeZone": "UTC"}


def find_ambient() -> "SparkSession | None":
    """The active session of this process, None if there is none."""
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.active()
    except PySparkException:
        return None


class AmbientEngine:
    """Uses the session of the surroundings, and leaves it running."""

    def start(self) -> "SparkSession":
        """The active session; on Databricks one is made where the runtime has not done so yet."""
        from pyspark.sql import SparkSession

        session = find_ambient() or SparkSession.builder.getOrCreate()
        for key, value in _SETTINGS.items():
            session.conf.set(key, value)
        return session

    def stop(self) -> None:
        """Nothing: who started the session stops it."""
