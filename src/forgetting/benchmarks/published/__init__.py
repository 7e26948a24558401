"""Tables as papers print them, the recipe of every row, and their numbers compared with ours."""

from forgetting.benchmarks.published.compared import Average, Compared, Ended, absent, compared
from forgetting.benchmarks.published.reader import (
    Column,
    Published,
    PublishedModel,
    Row,
    Table,
    published_table,
    table_names,
)

__all__ = [
    "Average",
    "Column",
    "Compared",
    "Ended",
    "Published",
    "PublishedModel",
    "Row",
    "Table",
    "absent",
    "compared",
    "published_table",
    "table_names",
]
