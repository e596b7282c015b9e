"""Counter-based draws: the same everywhere, independent of each other, however many there are."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from clinclip import draws
from clinclip.draws import Draws, array_stream, permuted, stream

SAMPLES = np.arange(4000)


def test_the_same_on_every_machine() -> None:
    """Pinned: a change of these numbers changes every run and every phantom."""
    assert draws.words(1, 2, draws.ORDER, np.arange(2)).tolist() == [16417689750672261086, 3209457993324060521]
    assert draws.words(1, 2, draws.ORDER, 0, np.arange(2)).tolist() == [14218701807333778049, 3081700272830990121]
    assert Draws(1, "text").number("purpose", 2) == 11793986819899729334
    assert (stream("a", 1).getrandbits(32), int(array_stream("a", 1).integers(2**32))) == (3585437178, 1616908607)
    assert [permuted(i, 100, "a") for i in range(4)] == [7, 34, 61, 88]


def test_a_draw_depends_on_all_that_it_is_for() -> None:
    base = draws.words(1, 2, 3, SAMPLES, np.array(4))
    for other in (
        draws.words(2, 2, 3, SAMPLES, np.array(4)),
        draws.words(1, 3, 3, SAMPLES, np.array(4)),
        draws.words(1, 2, 4, SAMPLES, np.array(4)),
        draws.words(1, 2, 3, SAMPLES + 5000, np.array(4)),
        draws.words(1, 2, 3, SAMPLES, np.array(5)),
        draws.words(1, 2, 3, SAMPLES),
    ):
        assert not (base == other).any()


def test_items_do_not_collide_with_the_neighbours_and_do_not_depend_on_each_other() -> None:
    """Neither the 9th kind nor the 65th twin of one report draws what another report drew."""
    table = draws.words(0, 0, draws.EDIT_KIND_CHOICE, SAMPLES[:, None], np.arange(100)[None])
    assert len(np.unique(table)) == table.size
    few = draws.words(0, 0, draws.EDIT_KIND_CHOICE, SAMPLES[:, None], np.arange(3)[None])
    assert np.array_equal(few, table[:, :3])


def test_kinds_of_edits_are_independent() -> None:
    """Names are hashed: of 20 kinds any two are uncorrelated, and each comes first equally often."""
    keys = np.asarray([draws.stable_hash("edit", f"kind {i}") for i in range(20)])
    table = draws.words(7, 0, draws.EDIT_KIND_CHOICE, SAMPLES[:, None], keys[None]) / 2.0**64
    correlation = np.corrcoef(table.T)
    assert max(abs(correlation[a, b]) for a, b in combinations(range(20), 2)) < 5 / np.sqrt(len(SAMPLES))
    first = np.bincount(table.argmin(axis=1), minlength=20)
    assert abs(first - len(SAMPLES) / 20).max() < 5 * np.sqrt(len(SAMPLES) / 20)


def test_choices_for_a_text() -> None:
    texts = [f"report {i}" for i in range(2000)]
    picked = np.bincount([Draws(0, text).pick(range(4), "x") for text in texts])
    assert abs(picked - 500).max() < 110
    assert 0.26 < np.mean([Draws(0, text).chance(0.3, "x") for text in texts]) < 0.34
    order = Draws(0, "text").order("abcdefgh", "x")
    assert sorted(order) == list("abcdefgh")
    assert order == Draws(0, "text").order("abcdefgh", "x")
    assert order != Draws(0, "text").order("abcdefgh", "y")
    assert order != Draws(0, "other").order("abcdefgh", "x")


@pytest.mark.parametrize("size", [10, 1000])
def test_permuted_is_a_bijection(size: int) -> None:
    assert sorted(permuted(i, size, "key") for i in range(size)) == list(range(size))
