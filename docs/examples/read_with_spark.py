"""Count the rows of the history in force at a cut, with PySpark, from the files as they lie.

    python -m venv spark && spark/bin/pip install pyspark deltalake
    spark/bin/python docs/examples/read_with_spark.py workspace/history 2026-01-12T06:00:00Z

Needs Java 17. `deltalake` is used only to say which Parquet files the visible version of each table consists of. Where
Spark has the Delta jar, `spark.read.format("delta").option("versionAsOf", version).load(path)` does it alone.
"""

import json
import sys
from pathlib import Path

from deltalake import DeltaTable
from pyspark.sql import DataFrame, SparkSession

IN_FORCE = """
    select * from (
        select *, row_number() over (
            partition by row_id, person_id
            order by known_from desc, batch desc, sequence desc, deleted) as place
        from {table} where known_from <= timestamp '{cut}')
    where place = 1 and not deleted"""


def table_at(spark: SparkSession, folder: Path, version: int | None = None) -> DataFrame:
    files = DeltaTable(str(folder), version=version).file_uris()
    return spark.read.option("basePath", str(folder)).parquet(*files)


def main(history: Path, cut: str) -> None:
    builder = SparkSession.builder.appName("history").config("spark.sql.session.timeZone", "UTC")
    spark = builder.config("spark.ui.enabled", "false").getOrCreate()
    last = table_at(spark, history / "ledger").orderBy("batch", ascending=False).first()
    for name, version in sorted(json.loads(last["versions"]).items()):
        table_at(spark, history / name, version).createOrReplaceTempView(name)
        if name != "spoken":
            rows = spark.sql(IN_FORCE.format(table=name, cut=cut)).count()
            print(f"{name:14}{rows:>10,}")  # noqa: T201
    spark.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2])
