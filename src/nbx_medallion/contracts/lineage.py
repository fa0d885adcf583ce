"""The columns that are ours, in tables that keep received columns beside them."""

CORRUPT_RECORD = "_corrupt_record"
CORRUPT_REASON = "_corrupt_reason"
SOURCE_FILE = "_source_file"
ROW_NUMBER = "_row_number"
INGESTED_AT = "_ingested_at"
BATCH_ID = "_batch_id"
REASONS = "_reasons"
SUPERSEDED_BY_FILE = "_superseded_by_file"
SUPERSEDED_BY_ROW = "_superseded_by_row"
SUPERSEDED_BY_BATCH = "_superseded_by_batch"

#: What identifies a record.
RECORD = (SOURCE_FILE, ROW_NUMBER, BATCH_ID)
#: Where a record came from.
RECEIVED = (SOURCE_FILE, ROW_NUMBER, INGESTED_AT, BATCH_ID)
#: Columns of bronze, superseded and quarantine that are ours.
RAW = (CORRUPT_RECORD, CORRUPT_REASON, *RECEIVED)
SUPERSEDED = (*RECORD, SUPERSEDED_BY_FILE, SUPERSEDED_BY_ROW, SUPERSEDED_BY_BATCH)
QUARANTINE = (CORRUPT_RECORD, REASONS, *RECEIVED)
#: Names that no received column may have.
RESERVED = (*RAW, REASONS)
#: Type and meaning of each.
OWN_COLUMNS = {
    CORRUPT_RECORD: (
        "string",
        "Raw text of a record that could not be parsed, whose received columns are NULL; NULL for"
        " every other record.",
    ),
    CORRUPT_REASON: (
        "string",
        "Why it could not be parsed, as `record: <what>`; NULL where _corrupt_record is.",
    ),
    REASONS: (
        "array<string>",
        "Why the record was rejected, as `<column or rule>: <what>`, in the contract's order;"
        " the only one for one that could not be parsed is bronze's `_corrupt_reason`. Never"
        " empty.",
    ),
    SOURCE_FILE: ("string", "File the record came from, relative to the landing root."),
    ROW_NUMBER: (
        "bigint",
        "Ordinal of the record in its file, from 1; malformed records count, the header and blank"
        " lines do not.",
    ),
    INGESTED_AT: ("timestamp", "Start (UTC) of the run of _batch_id."),
    BATCH_ID: ("string", "Run that received the record; sorts by time."),
    SUPERSEDED_BY_FILE: (
        "string",
        "File of the later record that took its place; that one may be superseded in turn.",
    ),
    SUPERSEDED_BY_ROW: ("bigint", "Ordinal of that record in its file, from 1."),
    SUPERSEDED_BY_BATCH: ("string", "Run that received that record."),
}
