"""Runs with other first cells, settings and a home that cannot be written."""

import numpy as np
import pytest

import running
from conftest import FIRST_CELLS, is_ignored


def test_in_a_home_that_cannot_be_written(other_runs, code, shown):
    texts, images = other_runs["nothing"].result()
    # figures of different sizes are not exchanged; fonts may differ a bit
    outputs = [o.get("data", {}) for cell in code for o in cell.outputs]
    stored = running.sizes_of_images(outputs)
    assert np.allclose(images, stored, rtol=0.02)
    for cell, text, (fresh, _) in zip(code, texts, shown, strict=True):
        if not is_ignored(cell):
            assert text == fresh


@pytest.mark.parametrize("name", FIRST_CELLS)
def test_other_first_cells(other_runs, name):
    texts, _ = other_runs[name].result()
    assert any("nan" in text for text in texts) == (
        name == "weights of order 1000"
    )


def test_every_cell_twice_after_other_settings(other_runs):
    other_runs["twice"].result()
