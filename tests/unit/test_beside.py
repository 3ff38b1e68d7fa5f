import pytest

from pipelines.beside import _together


@pytest.mark.parametrize(
    ("buckets", "people", "workers", "parts"), [(8, 0, 2, 2), (8, 3_500, 2, 4), (8, 90_000, 2, 8), (1, 10, 4, 1)]
)
def test_every_bucket_is_worked_on_once_with_few_people_in_few_parts(buckets, people, workers, parts):
    together = _together(buckets, people, workers)
    assert sorted(bucket for part in together for bucket in part) == list(range(buckets))
    assert len(together) == parts
