"""The layer pipelines as tasks of a job: which there are, and which waits for which.

Both follow from the registered pipelines, so a job made from them cannot drift. Tasks are
processes of their own: what one hands to another must be kept in a table or a file.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline

from nbx_medallion.errors import UserError

DEFAULT = "__default__"
_TRANSCODING = "@"


@dataclass(frozen=True)
class LayerTask:
    """A registered pipeline as a task.

    Attributes:
        name: Name of the pipeline, and of the task.
        depends_on: Tasks that write what it reads, sorted.
    """

    name: str
    depends_on: tuple[str, ...]


def layer_tasks(
    pipelines: Mapping[str, Pipeline], is_kept: Callable[[str], bool]
) -> list[LayerTask]:
    """The tasks of the job that runs all layers, each after those that it depends on.

    Args:
        pipelines: The registered pipelines.
        is_kept: Whether a dataset outlives the process that wrote it.

    Returns:
        One task a pipeline, but for the default one, in the order of registration.

    Raises:
        UserError: A task needs what another keeps in memory only.
    """
    layers = {name: pipeline for name, pipeline in pipelines.items() if name != DEFAULT}
    writers = {
        _plain(dataset): name
        for name, pipeline in layers.items()
        for dataset in pipeline.all_outputs()
    }
    tasks = []
    for name, pipeline in layers.items():
        # Free inputs only: what the layer makes for itself is no dependency.
        needed = {dataset for dataset in pipeline.inputs() if _plain(dataset) in writers}
        lost = sorted(dataset for dataset in needed if not is_kept(dataset))
        if lost:
            from_task = writers[_plain(lost[0])]
            raise UserError(
                f"{lost[0]}: the task {name!r} reads it and the task {from_task!r} writes it, but"
                " it is kept in memory only, and tasks do not share memory. Give it a table or a"
                " file in conf/base/catalog.yml, or move its nodes into one pipeline."
            )
        depends_on = sorted({writers[_plain(dataset)] for dataset in needed} - {name})
        tasks.append(LayerTask(name, tuple(depends_on)))
    return tasks


def is_kept(catalog: DataCatalog) -> Callable[[str], bool]:
    """Tells for a catalog whether a dataset outlives its process: it has an entry, not of memory.

    Args:
        catalog: The catalog of any environment.
    """

    def kept(name: str) -> bool:
        return name in catalog and not isinstance(catalog.get(name), MemoryDataset)

    return kept


def _plain(dataset: str) -> str:
    """The name of a dataset without the side that it is seen from."""
    return dataset.partition(_TRANSCODING)[0]
