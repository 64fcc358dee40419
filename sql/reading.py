"""The configuration of how a file is read: format, delimiter, quotes, encoding, words for no value."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Format = Literal["auto", "csv", "jsonl", "parquet", "arrow", "avro", "orc", "sheets"]
Quoting = Literal["standard", "none"]


class Section(BaseModel):
    """A section of the configuration; frozen, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)


class Reading(Section):
    """How to read one kind of file; shared by logs and catalogues."""

    format: Format = Field(
        "auto",
        description="csv, jsonl, parquet, arrow, avro, orc or sheets (Excel, OpenDocument); auto decides by "
        "the file's suffix.",
    )
    sheet: str | None = Field(
        None, description="The sheet of a workbook to read; by default all, which have the same columns."
    )
    delimiter: str | None = Field(
        None,
        min_length=1,
        max_length=4,
        description="Field separator of CSV files; by default a tab in .tsv files, a comma in others.",
    )
    quoting: Quoting = Field(
        "standard",
        description="standard: quotes enclose fields of CSV files (RFC 4180); none: they are text.",
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character before a quote that is text; by default a backslash (Spark) in lines that are "
        "no rows without it. With quoting = none, it comes before a delimiter that is text.",
    )
    skip_lines: int = Field(
        0, ge=0, le=1000, description="Lines before the header (or first row) of CSV files."
    )
    encoding: str = Field("utf-8", description="Character encoding of CSV and JSON lines.")
    header: bool = Field(True, description="Whether a CSV file's first line names its columns.")
    column_names: tuple[str, ...] = Field((), description="Column names of CSV files without a header.")
    null_values: tuple[str, ...] = Field(
        ("", "NULL", "null", "NaN", "nan", "None", "(not set)", "\\N"),
        description="Texts that mean 'no value'.",
    )
    trim_ids: bool = Field(False, description="Whether to remove spaces around ids.")
    lower_ids: bool = Field(False, description="Whether to turn ids into small letters.")
    fill_down: tuple[str, ...] = Field(
        (), description="Columns whose empty values are those of the row above, as in exports of orders."
    )
    fill_down_within: str | None = Field(
        None, description="Column, such as an order's number, within which fill_down fills."
    )
    max_expansion: int = Field(
        200,
        ge=1,
        description="A file that expands to more than 32 MiB and more than this many times its size is "
        "refused as a bomb.",
    )

    def delimiter_of(self, name: str) -> str:
        """Return the field separator of a CSV file of this name."""
        return self.delimiter or ("\t" if ".tsv" in name.lower()[-8:] else ",")

    @field_validator("delimiter", "escape")
    @classmethod
    def _valid_delimiter(cls, value: str | None) -> str | None:
        if value and any(letter in value for letter in '\r\n"\0'):
            raise ValueError(f"expected a character other than a quote or line end, got {value!r}")
        return value

    @field_validator("escape")
    @classmethod
    def _ascii_escape(cls, value: str | None) -> str | None:
        if value and not (value.isascii() and value.isprintable()):
            raise ValueError(f"expected a printable ASCII character such as a backslash, got {value!r}")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            "".encode(value)
        except LookupError:
            raise ValueError(
                f"expected a character encoding such as utf-8 or latin-1, got {value!r}"
            ) from None
        return value

    @model_validator(mode="after")
    def _names_without_header(self) -> Reading:
        if not self.header and not self.column_names:
            raise ValueError("header = false needs column_names = [...]")
        if self.header and self.column_names:
            raise ValueError("column_names are for files without a header; set header = false")
        return self
