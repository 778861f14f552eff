"""Runs with other first cells, settings and a home that cannot be written."""

import numpy as np
import pytest

from cells import CODE, OUTPUTS, is_ignored, sizes_of_figures
from conftest import CHANGES, RUNS


def test_in_a_home_that_cannot_be_written(shown):
    texts, sizes = RUNS["unchanged"].result()
    # figures are not exchanged; they differ in size, and fonts may a bit
    stored = sizes_of_figures([output.get("data", {}) for output in OUTPUTS])
    assert np.allclose(sizes, stored, rtol=0.02)
    for cell, text, (fresh, _) in zip(CODE, texts, shown, strict=True):
        assert is_ignored(cell) or text == fresh


@pytest.mark.parametrize("name", CHANGES)
def test_other_first_cells(name):
    texts, _ = RUNS[name].result()
    # where the sigmoid overflows, the complex step finds NaN and says so
    overflows = name == "weights of order 1000"
    assert any("nan" in text for text in texts) == overflows
