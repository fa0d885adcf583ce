"""Files that go wrong in other readers, and the records that each must give."""

import gzip
from typing import NamedTuple

Row = tuple[str | None, ...] | str
"""A record: its fields, or the text of a malformed one."""


class Case(NamedTuple):
    """A file and what it holds.

    Attributes:
        content: Its bytes.
        columns: Names of its columns; None where its header cannot be mapped or it has none.
        rows: Its records, in order.
        suffix: Of the file's name.
    """

    content: bytes
    columns: tuple[str, ...] | None
    rows: list[Row]
    suffix: str = ".csv"


AB = ("a", "b")
LONG = "x" * 3_000_000

CASES: dict[str, Case] = {
    # Nothing, or next to nothing.
    "empty": Case(b"", None, []),
    "only_blank_lines": Case(b"\n\r\n\r\n", None, []),
    "only_bom": Case(b"\xef\xbb\xbf", None, []),
    "header_only": Case(b"a,b\n", AB, []),
    "header_without_line_end": Case(b"a,b", AB, []),
    "header_then_blank_lines": Case(b"a,b\n\n\n", AB, []),
    # Line ends.
    "lf": Case(b"a,b\n1,2\n3,4\n", AB, [("1", "2"), ("3", "4")]),
    "crlf": Case(b"a,b\r\n1,2\r\n3,4\r\n", AB, [("1", "2"), ("3", "4")]),
    "lone_cr": Case(b"a,b\r1,2\r3,4\r", AB, [("1", "2"), ("3", "4")]),
    "mixed_line_ends": Case(b"a,b\r\n1,2\n3,4\r5,6", AB, [("1", "2"), ("3", "4"), ("5", "6")]),
    "no_last_line_end": Case(b"a,b\n1,2", AB, [("1", "2")]),
    "blank_lines_before_header": Case(b"\n\r\n\na,b\n1,2\n", AB, [("1", "2")]),
    "blank_lines_between": Case(b"a,b\n\n1,2\n\r\n\n3,4\n\n", AB, [("1", "2"), ("3", "4")]),
    "lf_then_cr": Case(b"a,b\n\r1,2\n\r3,4\n\r", AB, [("1", "2"), ("3", "4")]),
    "other_separators_of_lines": Case(
        "a,b\n1\x0b,2\x0c\n\x85,\u2028\n".encode(), AB, [("1\x0b", "2\x0c"), ("\x85", "\u2028")]
    ),
    # Fields.
    "empty_fields_are_null": Case(
        b'a,b\n,\n"",2\n1,""\n', AB, [(None,) * 2, (None, "2"), ("1", None)]
    ),
    "spaces_are_kept": Case(b"a,b\n 1 ,\t2\n , \n", AB, [(" 1 ", "\t2"), (" ", " ")]),
    "words_for_null_are_kept": Case(
        b"a,b\nNULL,NA\nnan,\\N\n", AB, [("NULL", "NA"), ("nan", "\\N")]
    ),
    "values_are_not_interpreted": Case(
        b"a,b\n0042,1e5\ntrue,#c\n", AB, [("0042", "1e5"), ("true", "#c")]
    ),
    "backslash_is_data": Case(b'a,b\n\\,\\n\n"x\\",2\n', AB, [("\\", "\\n"), ("x\\", "2")]),
    "nul_is_data": Case(b"a,b\n\x00,x\x00y\n", AB, [("\x00", "x\x00y")]),
    "control_characters": Case(
        b"a,b\n\x01,\x1a\n\x7f,\x1b\n", AB, [("\x01", "\x1a"), ("\x7f", "\x1b")]
    ),
    "emoji_and_accents": Case("a,b\nção,😀\n".encode(), AB, [("ção", "😀")]),
    "bom_in_the_middle": Case(b"a,b\n\xef\xbb\xbf1,2\n", AB, [("\ufeff1", "2")]),
    "one_column": Case(b'a\n1\n\n""\n2,3\n', ("a",), [("1",), (None,), "2,3"]),
    "many_columns": Case(
        ",".join(f"c{at}" for at in range(300)).encode() + b"\n" + b"," * 299 + b"\n",
        tuple(f"c{at}" for at in range(300)),
        [(None,) * 300],
    ),
    "long_field": Case(f"a,b\n{LONG},2\n".encode(), AB, [(LONG, "2")]),
    "long_quoted_field": Case(f'a,b\n"{LONG}\n,""",2\n'.encode(), AB, [(LONG + '\n,"', "2")]),
    # Quotes.
    "quoted": Case(b'"a","b"\n"1","2"\n', AB, [("1", "2")]),
    "quoted_separator": Case(b'a,b\n"1,5",2\n', AB, [("1,5", "2")]),
    "quoted_line_ends": Case(
        b'a,b\n"1\n1","2\r\n2"\n"3\r3","\n"\n', AB, [("1\n1", "2\r\n2"), ("3\r3", "\n")]
    ),
    "quoted_blank_lines": Case(b'a,b\n"\n\n1",2\n\n3,4\n', AB, [("\n\n1", "2"), ("3", "4")]),
    "quoted_line_end_in_header": Case(b'a,"b\nc"\n1,2\n', ("a", "b\nc"), [("1", "2")]),
    "doubled_quotes": Case(b'a,b\n"x""y",""""\n"""1""",""\n', AB, [('x"y', '"'), ('"1"', None)]),
    "quote_in_unquoted_field": Case(
        b'a,b\n5" pipe,x"y"\nb"",c"\n', AB, [('5" pipe', 'x"y"'), ('b""', 'c"')]
    ),
    "space_before_quote": Case(b'a,b\n "1",2\n', AB, [(' "1"', "2")]),
    "space_after_quote": Case(b'a,b\n"1" ,2\n3,4\n', AB, ['"1" ,2', ("3", "4")]),
    "text_after_quote": Case(b'a,b\n"1"x,2\n3,4\n', AB, ['"1"x,2', ("3", "4")]),
    "backslash_is_no_escape": Case(b'a,b\n"x\\"y",2\n3,4\n', AB, ['"x\\"y",2', ("3", "4")]),
    "single_quotes_are_data": Case(b"a,b\n'1,2'\n", AB, [("'1", "2'")]),
    "unclosed_in_last_record": Case(b'a,b\n1,2\n3,"4\n', AB, [("1", "2"), '3,"4']),
    "unclosed_in_first_record": Case(b'a,b\n1,"2\n3,4\n5,6', AB, ['1,"2', ("3", "4"), ("5", "6")]),
    "unclosed_before_quoted": Case(
        b'a,b\n"1,2\n"3","4"\n"5","6"\n', AB, ['"1,2', ("3", "4"), ("5", "6")]
    ),
    "unclosed_crlf": Case(b'a,b\r\n"1,2\r\n3,4\r\n', AB, ['"1,2', ("3", "4")]),
    "lone_quote": Case(b'a,b\n"\n1,2\n', AB, ['"', ("1", "2")]),
    "two_lone_quotes": Case(b'a,b\n"\n1,2\n"', AB, ['"\n1,2\n"']),
    "fails_on_its_second_line": Case(
        b'a,b\n"1\n2",3"\n"x\ny"z,4\n5,6\n',
        AB,
        [("1\n2", '3"'), '"x', ('y"z', "4"), ("5", "6")],
    ),
    "chain_of_quotes": Case(
        b'a,b\n"x","y\nx","y\nx","y\n1,2\n', AB, ['"x","y', 'x","y', 'x","y', ("1", "2")]
    ),
    # Numbers of fields.
    "too_few": Case(b"a,b\n1\n2,3\n", AB, ["1", ("2", "3")]),
    "too_many": Case(b"a,b\n1,2,3\n4,5\n", AB, ["1,2,3", ("4", "5")]),
    "last_separator": Case(b"a,b\n1,2,\n", AB, ["1,2,"]),
    "too_many_over_lines": Case(b'a,b\n"1\n1",2,"3"\r\n4,5\n', AB, ['"1\n1",2,"3"', ("4", "5")]),
    "only_spaces_in_a_line": Case(b"a,b\n  \n1,2\n", AB, ["  ", ("1", "2")]),
    "malformed_first_and_last": Case(b"a,b\nx\n1,2\ny", AB, ["x", ("1", "2"), "y"]),
    "all_malformed": Case(b"a,b\nx\ny\n", AB, ["x", "y"]),
    "another_separator": Case(b"a,b\n1;2\n", AB, ["1;2"]),
    "header_again": Case(b"a,b\n1,2\na,b\n3,4\n", AB, [("1", "2"), "a,b", ("3", "4")]),
    "header_again_in_other_order": Case(
        b'a,b\n1,2\n "b",a\n"b" ,a\nb\xc2\xa0,"a"\n3,4\na,b\n5,6\n',
        AB,
        [("1", "2"), ' "b",a', '"b" ,a', 'b\xa0,"a"', "3,4", "a,b", "5,6"],
    ),
    # Encodings.
    "bom": Case(b"\xef\xbb\xbfa,b\n1,2\n", AB, [("1", "2")]),
    "bom_before_quote": Case(b'\xef\xbb\xbf"a","b"\n1,2\n', AB, [("1", "2")]),
    "bom_and_blank_line": Case(b"\xef\xbb\xbf\r\na,b\r\n1,2", AB, [("1", "2")]),
    "invalid_utf8": Case(
        b"a,b\n1,2\nS\xe3o,3\n\xff\xfe,\n4,5\n",
        AB,
        [("1", "2"), "S\ufffdo,3", "\ufffd\ufffd,", ("4", "5")],
    ),
    "invalid_utf8_in_short_record": Case(b"a,b\n\xe3\n1,2\n", AB, ["\ufffd", ("1", "2")]),
    "invalid_utf8_in_quotes": Case(b'a,b\n"\xc3\n",2\n3,4\n', AB, ['"\ufffd\n",2', ("3", "4")]),
    "utf8_surrogates": Case(b"a,b\n\xed\xa0\x80,2\n3,4\n", AB, ["\ufffd" * 3 + ",2", ("3", "4")]),
    "utf16": Case("a,b\n1,2\n".encode("utf-16-le"), None, ["\x001\x00,\x002\x00", "\x00"]),
    # Compressed.
    "gzip": Case(gzip.compress(b"a,b\n1,2\nx\n", mtime=0), AB, [("1", "2"), "x"], ".csv.gz"),
    "gzip_upper_case": Case(gzip.compress(b"a,b\n1,2\n", mtime=0), AB, [("1", "2")], ".CSV.GZ"),
    "gzip_members": Case(
        gzip.compress(b"a,b\n1,", mtime=0) + gzip.compress(b"2\n", mtime=0),
        AB,
        [("1", "2")],
        ".csv.gz",
    ),
    "gzip_empty": Case(gzip.compress(b"", mtime=0), None, [], ".csv.gz"),
    "gzip_of_no_bytes": Case(b"", None, [], ".csv.gz"),
    # Headers.
    "header_with_odd_names": Case(
        "Order Id, Preço (R$);{x}=\t,a.b,`q`\n1,2,3,4\n".encode(),
        ("Order Id", "Preço (R$);{x}=", "a.b", "`q`"),
        [("1", "2", "3", "4")],
    ),
    "header_in_other_order": Case(b"b,a\n1,2\n", ("b", "a"), [("1", "2")]),
    "header_blank_names": Case(
        b'a,,"", \n1,2,3,4\n', ("a", "_c1", "_c2", "_c3"), [("1", "2", "3", "4")]
    ),
    "header_names_that_become_one": Case("a,b,a\u200b\n1,2,3\n".encode(), None, ["1,2,3"]),
    "header_after_two_byte_order_marks": Case(
        b'\xef\xbb\xbf\xef\xbb\xbf"a","b"\n1,2\n', AB, [("1", "2")]
    ),
    "separator_line": Case(b"sep=;\r\na;b\r\n1,5;2\r\n", AB, [("1,5", "2")]),
    "separator_line_alone": Case(b"sep=;", None, []),
    "header_blank_name_taken": Case(b"a,,_c1\n1,2,3\n", None, ["1,2,3"]),
    "header_repeated_name": Case(b'a,a\n1,2\n"3,\n",4\n\n', None, ["1,2", '"3,\n",4']),
    "header_other_case": Case(b"a,A\n1,2\n", None, ["1,2"]),
    "header_lineage_name": Case(b"a,_source_file\n1,2\n", None, ["1,2"]),
    "header_lineage_name_other_case": Case(b"a,_Reasons\n1,2\n", None, ["1,2"]),
    "header_unclosed_quote": Case(b'a,"b\n1,2\n3,4\n', None, ["1,2", "3,4"]),
    "header_invalid_utf8": Case(b"a,S\xe3o\n1,2\n\xe3\n", None, ["1,2", "\ufffd"]),
    "header_nul": Case(b"a,b\x00\n1,2\n", None, ["1,2"]),
}
