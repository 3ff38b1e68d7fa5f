"""The same features by timeseriesflattener 2.5.2, run in its own environment by features_vs_peers.py.

Arguments: a folder with events.parquet and rows.parquet, where features.parquet is written, and how often to do it.
Prints the shortest of the seconds taken, by the clock and of the processor.
"""

import datetime as dt
import sys
import time
from pathlib import Path

import polars as pl
from timeseriesflattener import (
    CountAggregator,
    Flattener,
    PredictionTimeFrame,
    PredictorSpec,
    SlopeAggregator,
    SumAggregator,
    ValueFrame,
)
from timeseriesflattener.aggregators import LatestAggregator

folder = Path(sys.argv[1])
events, rows = pl.read_parquet(folder / "events.parquet"), pl.read_parquet(folder / "rows.parquet")


def flattened() -> pl.DataFrame | pl.LazyFrame:
    return (
        Flattener(
            predictiontime_frame=PredictionTimeFrame(
                init_df=rows, entity_id_col_name="person_id", timestamp_col_name="as_of"
            )
        )
        .aggregate_timeseries(
            specs=[
                PredictorSpec(
                    value_frame=ValueFrame(
                        init_df=events, entity_id_col_name="person_id", value_timestamp_col_name="occurred_at"
                    ),
                    lookbehind_distances=[dt.timedelta(days=days) for days in (7, 28, 180)],
                    aggregators=[
                        CountAggregator(),
                        SumAggregator(),
                        LatestAggregator(timestamp_col_name="occurred_at"),
                        SlopeAggregator(timestamp_col_name="occurred_at"),
                    ],
                    fallback=float("nan"),
                )
            ]
        )
        .df
    )


seconds, processor = [], []
for _ in range(int(sys.argv[2])):
    start, started = time.perf_counter(), time.process_time()
    made = flattened()
    made = made.collect() if isinstance(made, pl.LazyFrame) else made
    seconds.append(time.perf_counter() - start)
    processor.append(time.process_time() - started)
made.write_parquet(folder / "features.parquet")
sys.stdout.write(f"{min(seconds)} {min(processor)}\n")
