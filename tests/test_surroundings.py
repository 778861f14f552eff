"""Runs with other first cells, settings and a home that cannot be written."""

import pytest

from conftest import FIRST_CELLS, is_ignored


def test_in_a_home_that_cannot_be_written(other_runs, code, shown):
    texts = other_runs["nothing"].result()
    for cell, text, (fresh, _) in zip(code, texts, shown, strict=True):
        if not is_ignored(cell):
            assert text == fresh


@pytest.mark.parametrize("name", FIRST_CELLS)
def test_other_first_cells(other_runs, name):
    assert any("nan" in text for text in other_runs[name].result()) == (
        name == "weights of order 1000"
    )


def test_every_cell_twice_after_other_settings(other_runs):
    other_runs["twice"].result()
