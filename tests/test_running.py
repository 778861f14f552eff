"""The notebook runs anywhere, again, and with other sizes."""

import copy
import re
import tracemalloc

import numpy as np
import pytest
from conftest import run
from references import random_point

IGNORE = "nbval-ignore-output"


def stored_text(cell):
    """What the cell printed when the notebook was stored."""
    return "".join(output.get("text", "") for output in cell.outputs)


def test_every_cell_can_run_twice_and_the_notebook_again(executed, code):
    count = len(code)
    once = executed.printed[: 2 * count : 2]
    twice = executed.printed[1 : 2 * count : 2]
    again = executed.printed[2 * count :]
    for cell, *texts in zip(code, once, twice, again, strict=True):
        if IGNORE not in cell.metadata.get("tags", []):
            assert texts == [stored_text(cell)] * 3


def test_noisy_cells_print_the_same_but_for_their_numbers(executed, code):
    once = executed.printed[: 2 * len(code) : 2]
    for cell, text in zip(code, once, strict=True):
        if "sorted(times" in cell.source:
            continue  # the order of the lines is that of the times
        skeletons = [
            re.sub(r"\s*-?\d+(\.\d+)?(e[+-]\d+)?", " #", noisy).split()
            for noisy in (text, stored_text(cell))
        ]
        assert skeletons[0] == skeletons[1]


def test_the_sheets_data_are_left_as_they_are(notebook, code):
    fresh = run(code[:1]).names
    for one, other in zip(
        (*notebook.parameters, notebook.x, notebook.y),
        (*fresh.parameters, fresh.x, fresh.y),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other, strict=True)


@pytest.mark.parametrize(
    "sizes", [(1, 1, 1, 1), (3, 4, 2, 1), (7, 16, 3, 64), (2, 9, 5, 3)]
)
def test_other_sizes_go_through(code, sizes):
    first = copy.deepcopy(code[0])
    call = "initialize(3, 4, 2, 5)"
    assert first.source.count(call) == 1
    first.source = first.source.replace(call, f"initialize{sizes}")
    names = run([first, *code[1:]]).names
    inputs, hidden, outputs, _ = sizes
    assert [p.shape for p in names.model.parameters()] == [
        (hidden, inputs),
        (hidden,),
        (hidden, hidden),
        (hidden,),
        (outputs, hidden),
        (outputs,),
    ]


def test_every_method_has_its_gradients(notebook):
    assert set(notebook.gradients) == {
        *("backprop", "numerical", "autograd", "complex step")
    }
    for gradients in notebook.gradients.values():
        for gradient, p in zip(gradients, notebook.parameters, strict=True):
            assert type(gradient) is np.ndarray
            assert gradient.shape == p.shape


@pytest.mark.parametrize("method", ["numerical", "complex_step"])
def test_memory_stays_bounded(notebook, method):
    point = random_point((20, 60, 5, 32), 0.1)
    assert sum(p.size for p in point[0]) == 5225
    function = getattr(notebook, f"{method}_gradients")
    tracemalloc.start()
    function(*point)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 5225 copies at once would take 218 MB for each array of the stack
    assert peak < 150e6
