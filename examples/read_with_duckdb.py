"""Read a dataset with DuckDB: parts are plain Parquet.

python examples/read_with_duckdb.py DATASET
"""

import sys

import duckdb

folder = sys.argv[1]
hosts = duckdb.sql(
    f"""
    SELECT regexp_extract(url, '//([^/]+)', 1) AS host, count(*) AS documents, sum(length(text)) AS characters
    FROM read_parquet('{folder}/part-*.parquet')
    GROUP BY host ORDER BY documents DESC, host
    """  # noqa: S608 - the folder is the user's own
)
print(hosts)
