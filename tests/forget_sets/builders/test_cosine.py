"""The texts farthest from a domain's centroid, against a sort of all distances in float64."""

import time
import tracemalloc
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from forgetting.core.errors import DataError
from forgetting.forget_sets.builders.cosine import Centre, Placed, centroid, distances, ranked
from forgetting.forget_sets.builders.embedding import Vectors
from forgetting.forget_sets.builders.separation import Tally

Blocks = Iterator[tuple[Sequence[str], Vectors]]


def random(rows: int, dimension: int, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).standard_normal((rows, dimension)).astype(np.float32)


def cut(vectors: Vectors, names: Sequence[str], size: int) -> Blocks:
    for start in range(0, len(vectors), size):
        yield names[start : start + size], vectors[start : start + size]


def sorted_all(vectors: Vectors, names: Sequence[str], centre: Centre, count: int, nearest: bool) -> list[str]:
    """Ids by the definition: cosine in float64, one dot product per text, sorted as a whole with ties by id."""
    rows = vectors.astype(np.float64)
    cosine = np.array([r @ centre / (np.linalg.norm(r) * np.linalg.norm(centre)) for r in rows])
    key = np.round(1 - cosine, 12) * (1 if nearest else -1)
    return [names[i] for i in sorted(range(len(names)), key=lambda i: (key[i], names[i]))[:count]]


def test_the_centroid_is_the_mean_of_the_embeddings_as_they_are() -> None:
    vectors = random(1000, 7)
    np.testing.assert_allclose(
        centroid(part for _, part in cut(vectors, [""] * 1000, 96)), vectors.astype(np.float64).mean(axis=0), rtol=1e-12
    )


def test_the_distance_is_one_minus_the_cosine() -> None:
    vectors = np.array([[3, 0], [0, 5], [-1e-3, 0], [1, 1]], dtype=np.float32)
    np.testing.assert_allclose(distances(vectors, np.array([2.0, 0.0])), [0, 1, 2, 1 - 0.5**0.5], atol=1e-12)


@pytest.mark.parametrize("dimension", [1, 3, 64, 384, 1024])
def test_a_distance_does_not_depend_on_the_block_it_came_in(dimension: int) -> None:
    vectors, centre = random(300, dimension), random(1, dimension, seed=1)[0].astype(np.float64)
    whole = distances(vectors, centre)
    for size in (1, 2, 7, 129):
        parts = [distances(part, centre) for _, part in cut(vectors, [""] * 300, size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("nearest", [True, False])
@pytest.mark.parametrize(("count", "size"), [(1, 512), (100, 37), (5_000, 1024), (19_999, 4096), (20_000, 20_000)])
def test_of_20000_texts_the_chosen_are_those_of_a_full_sort(nearest: bool, count: int, size: int) -> None:
    vectors = random(20_000, 16)
    vectors[500:900] = vectors[100]  # ties, to be broken by id
    names = [f"{n:05d}" for n in np.random.default_rng(1).permutation(20_000)]
    centre = centroid([random(50, 16, seed=2) + 0.5])
    tally = Tally()
    found = ranked(cut(vectors, names, size), centre, count, nearest=nearest, tally=tally)
    assert [one.id for one in found] == sorted_all(vectors, names, centre, count, nearest)
    assert [names[one.row] for one in found] == [one.id for one in found]
    assert tally.counts.sum() == 20_000


def test_equal_distances_go_by_id_in_whatever_order_they_come() -> None:
    vectors = np.tile(np.array([[1, 2]], np.float32), (40, 1))
    names = [f"{n:02d}" for n in np.random.default_rng(0).permutation(40)]
    for nearest in (True, False):
        found = ranked(cut(vectors, names, 3), np.array([1.0, 0.0]), 5, nearest=nearest)
        assert [one.id for one in found] == ["00", "01", "02", "03", "04"]


def test_a_text_that_stands_twice_is_chosen_once() -> None:
    vectors = random(50, 4)
    both, names = np.concatenate([vectors, vectors]), [f"{i:02d}" for i in range(50)] * 2
    centre = np.ones(4)
    found = ranked(cut(both, names, 8), centre, 10)
    assert found == ranked(cut(vectors, names[:50], 8), centre, 10)
    with pytest.raises(DataError, match="general: has 50 examples that differ, and 51 are asked"):
        ranked(cut(both, names, 8), centre, 51)


def test_embeddings_of_another_size_or_without_a_centre_are_refused() -> None:
    with pytest.raises(DataError, match="have 3 dimensions and the domain's 4"):
        ranked([(["a"], random(1, 3))], np.ones(4), 1)
    with pytest.raises(DataError, match="add up to zero"):
        centroid([np.array([[1, 0], [-1, 0]], np.float32)])
    with pytest.raises(DataError, match="count is 0"):
        ranked([], np.ones(4), 0)


def generated(rows: int, dimension: int, size: int) -> Blocks:
    for start in range(0, rows, size):
        yield [f"{i:07d}" for i in range(start, start + size)], random(size, dimension, seed=start)


def peak(rows: int, centre: Centre, count: int) -> tuple[list[Placed], int]:
    tracemalloc.start()
    found = ranked(generated(rows, 64, 4000), centre, count)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return found, most


def test_memory_does_not_grow_with_the_corpus() -> None:
    centre = np.ones(64)
    assert peak(40_000, centre, 100)[1] < 1.2 * peak(12_000, centre, 100)[1]


@pytest.mark.slow
def test_of_a_million_texts_the_chosen_are_those_of_a_full_sort_in_the_memory_of_a_few_blocks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows, count, centre = 1_000_000, 1000, random(1, 64, seed=5)[0].astype(np.float64)
    found, most = peak(rows, centre, count)
    assert most < 16e6  # the matrix has 256 MB
    assert most < 1.2 * peak(100_000, centre, count)[1]

    values = np.concatenate([part for _, part in generated(rows, 64, 4000)])
    names = [f"{i:07d}" for i in range(rows)]
    begun = time.perf_counter()
    streamed = ranked(cut(values, names, 4000), centre, count)
    middle = time.perf_counter()
    far = distances(values, centre)
    sorting = time.perf_counter()
    plain = np.argsort(-far, kind="stable")[:count]
    ended = time.perf_counter()
    assert [one.row for one in found] == [one.row for one in streamed] == plain.tolist()
    with capsys.disabled():
        print(
            f"\npeak {most / 1e6:.1f} MB; streamed {middle - begun:.2f} s; "
            f"at once {sorting - middle:.2f} s and sorted {ended - sorting:.2f} s"
        )
