"""Names of the columns that are ours, in tables that keep received columns beside them."""

CORRUPT_RECORD = "_corrupt_record"
SOURCE_FILE = "_source_file"
ROW_NUMBER = "_row_number"
INGESTED_AT = "_ingested_at"
BATCH_ID = "_batch_id"
REASONS = "_reasons"
SUPERSEDED_BY_FILE = "_superseded_by_file"
SUPERSEDED_BY_ROW = "_superseded_by_row"

#: What identifies a record.
RECORD = (SOURCE_FILE, ROW_NUMBER, BATCH_ID)
#: Names that a received column may not have: bronze and quarantine have them.
RESERVED = (CORRUPT_RECORD, *RECORD, INGESTED_AT, REASONS)
