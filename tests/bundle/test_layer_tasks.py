"""Layer pipelines as tasks, and the check that tasks share no memory."""

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Node, Pipeline
from kedro_datasets.json import JSONDataset

from nbx_medallion.errors import UserError
from resources.medallion_job import LayerTask, is_kept, layer_tasks


def copy(value: object) -> object:
    """A node's function."""
    return value


PIPELINES = {
    "first": Pipeline([Node(copy, "landing", "one.table@frame"), Node(copy, "landing", "memory")]),
    "second": Pipeline(
        [Node(copy, "one.table@commit", "inner"), Node(copy, "inner", "two", name="last")]
    ),
    "third": Pipeline([Node(copy, "two", "three"), Node(copy, "one.table@frame", "four")]),
}
PIPELINES["__default__"] = sum(PIPELINES.values(), Pipeline([]))


def test_tasks_wait_for_those_whose_datasets_they_read() -> None:
    assert layer_tasks(PIPELINES, lambda name: name != "inner") == [
        LayerTask("first", ()),
        LayerTask("second", ("first",)),
        LayerTask("third", ("first", "second")),
    ]


def test_dataset_in_memory_between_tasks_is_refused() -> None:
    with pytest.raises(UserError) as raised:
        layer_tasks(PIPELINES, lambda name: name != "two")
    assert str(raised.value) == (
        "two: the task 'third' reads it and the task 'second' writes it, but it is kept in memory"
        " only, and tasks do not share memory. Give it a table or a file in conf/base/catalog.yml,"
        " or move its nodes into one pipeline."
    )


def test_dataset_is_kept_where_its_entry_is_not_of_memory() -> None:
    catalog = DataCatalog({"file": JSONDataset(filepath="x.json"), "memory": MemoryDataset()})
    kept = is_kept(catalog)
    assert kept("file")
    assert not kept("memory")
    assert not kept("no_entry")
