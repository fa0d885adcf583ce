"""The first records of received files, read without an engine."""

from typing import Any

from nbx_medallion.contracts.lineage import ROW_NUMBER
from nbx_medallion.landing.dialect import CsvDialect
from nbx_medallion.landing.files import list_landing, unreadable
from nbx_medallion.landing.header import read_header
from nbx_medallion.landing.parse import RecordParser
from nbx_medallion.landing.records import BlockReader
from nbx_medallion.landing.stream import BOM, UNREADABLE, open_utf8

_WINDOW = 1 << 16


def preview_rows(path: str, variable: str, dialect: CsvDialect, count: int) -> dict[str, Any]:
    """Read the first records of the first file that has any.

    Args:
        path: Absolute path of a file or a folder, or a glob.
        variable: The environment variable that sets it, to be named in errors.
        dialect: How the files are written.
        count: How many records at most.

    Returns:
        A table as `{"index": [...], "columns": [...], "data": [[...], ...]}`: the file's columns,
        `_corrupt_record`, `_source_file` and `_row_number`, which is the index too.

    Raises:
        UserError: The path holds no file, or one cannot be read.
    """
    table: dict[str, Any] = {}
    for file in list_landing(path, variable).files:
        try:
            with open(file.location, "rb") as raw:
                reader = BlockReader(
                    open_utf8(raw, file.location, dialect), dialect, window=_WINDOW
                )
                reader.skip(BOM)
                names = read_header(reader.header()).columns
                parser = RecordParser(names or (), names, file.path, dialect)
                rows: list[dict[str, Any]] = []
                for batch in parser.parse(reader, 1):
                    rows += batch.slice(0, count - len(rows)).to_pylist()
                    if len(rows) >= count:
                        break
        except UNREADABLE as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise unreadable(file.location, reason, variable) from error
        columns = parser.schema.names
        table = {
            "index": [row[ROW_NUMBER] for row in rows],
            "columns": columns,
            "data": [[row[name] for name in columns] for row in rows],
        }
        if rows:
            break
    return table
