"""The columns that are ours, in tables that keep received columns beside them."""

CORRUPT_RECORD = "_corrupt_record"
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
#: Columns that bronze and superseded have; and those of quarantine, which has bronze's too, so
#: that no received column may have one of these names.
RAW = (CORRUPT_RECORD, SOURCE_FILE, ROW_NUMBER, INGESTED_AT, BATCH_ID)
SUPERSEDED = (*RECORD, SUPERSEDED_BY_FILE, SUPERSEDED_BY_ROW, SUPERSEDED_BY_BATCH)
RESERVED = (CORRUPT_RECORD, REASONS, *RAW[1:])
#: Type and meaning of each.
OWN_COLUMNS = {
    CORRUPT_RECORD: (
        "string",
        "Raw text of a record that could not be parsed, whose received columns are NULL; NULL for"
        " every other record.",
    ),
    REASONS: (
        "array<string>",
        "Why the record was rejected, as `<column or rule>: <what>`, in the contract's order;"
        " `record: malformed` alone for one that could not be parsed. Never empty.",
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
