"""The notebook runs anywhere, again, and with other sizes."""

import copy
import re
import tracemalloc

import numpy as np
import pytest
from conftest import run
from matplotlib.colors import same_color
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


def test_the_printed_errors_are_those_of_the_gradients(
    notebook, executed, code
):
    def lines_of(name, start):
        """The numbers that a cell prints in the line of each gradient."""
        number = next(i for i, c in enumerate(code) if name in c.source)
        rows = executed.printed[2 * number].splitlines()[start:]
        return [row.split()[1:] for row in rows]

    def norm_and_worst(*pair):
        errors = notebook.relative_error, notebook.worst_relative_error
        return [f"{error(*pair):.1e}" for error in errors]

    table = lines_of("others = [", 2)
    referee = lines_of("referee = ", 1)
    for i, ours in enumerate(notebook.gradients["backprop"]):
        others = [notebook.gradients[m][i] for m in notebook.others]
        expected = [
            text for other in others for text in norm_and_worst(ours, other)
        ]
        assert table[i] == expected
        judged = [notebook.gradients[m][i] for m in notebook.methods]
        truth = notebook.gradients["complex step"][i]
        assert referee[i] == [norm_and_worst(g, truth)[0] for g in judged]
    layers = lines_of("largest difference", 0)
    pairs = zip(
        notebook.torch_outputs,
        (notebook.a1, notebook.a2, notebook.output),
        strict=True,
    )
    for row, (theirs, ours) in zip(layers, pairs, strict=True):
        assert row[-1] == f"{np.abs(theirs.T - ours).max():.1e}"


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


def test_every_figure_says_what_it_shows(executed):
    figures = executed.figures[:10:2]
    assert len(figures) == 5
    for number, figure in enumerate(figures, start=1):
        assert figure.get_suptitle().startswith(f"Figure {number}: ")
        for axes in figure.axes if number > 1 else []:
            # a shared axis is named at the panels on the edge
            edge = axes.get_subplotspec()
            assert axes.get_xlabel() or not edge.is_last_row()
            assert axes.get_ylabel() or not edge.is_first_col()
        for axes in figure.axes:
            for text in (*axes.texts, axes.title):
                assert text.get_fontsize() >= 10


def test_figures_2_and_3_draw_the_measured_errors(notebook, executed):
    panels = executed.figures[2].axes
    order = [0, 2, 4, 1, 3, 5]
    for axes, i in zip(panels, order, strict=True):
        assert axes.get_title() == f"dL/d{notebook.NAMES[i]}"
        points, line = axes.lines[:2]
        for drawn, values in (
            (points, notebook.measured),
            (line, notebook.predicted),
        ):
            np.testing.assert_array_equal(drawn.get_xdata(), notebook.steps)
            np.testing.assert_allclose(
                drawn.get_ydata(), values[:, i] / notebook.size[i], rtol=1e-14
            )
        assert same_color(points.get_color(), notebook.COLORS["numerical"])
