"""What a source hands to the history: one extract, read whole, every row accounted for."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pandas as pd
import pyarrow as pa

ACCOUNT_COLUMNS = ("file", "table", "outcome", "reason", "rows")
"""Columns of `Batch.account`: raw file, canonical table (or ""), outcome kept / rejected / unused, reason, rows."""


@dataclass(frozen=True)
class Scope:
    """`table` is complete in this batch for facts that occurred in [start, end): rows that an earlier batch of the
    same source gave in that period, and this one does not, are deleted."""

    table: str
    start: datetime
    end: datetime


@dataclass(frozen=True)
class Batch:
    """One extract as canonical rows.

    tables: by name, each of `schema.batch_schema(table)`; tables without rows may be absent.
    identities: person_id, nhs_number, local_id, family_name, given_name, birth_date; kept apart from the history.
    account: a frame of `ACCOUNT_COLUMNS`; for each file, rows kept + rejected + unused are the rows read.
    nulls: file, provider, column, rows, nulls; the share of empty cells by raw column.
    covers_to: up to when the extract tells the state of things (the end of its reporting period, else its receipt).
    fingerprint: SHA-256 of the extract's bytes, mapping and time zone.
    """

    source: str
    name: str
    fingerprint: str
    received_at: datetime
    tables: Mapping[str, pa.Table]
    identities: pa.Table
    account: pd.DataFrame
    nulls: pd.DataFrame
    scopes: tuple[Scope, ...] = field(default=())
    covers_to: datetime | None = None

    @property
    def tells_until(self) -> datetime:
        return self.covers_to or self.received_at
