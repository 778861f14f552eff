"""Noisy tables and figures, which nbval cannot compare, show what is there."""

import numpy as np
import pytest
from conftest import run
from matplotlib.colors import same_color
from nbformat.v4 import new_code_cell


@pytest.fixture(scope="module")
def figures(executed):
    """The five figures of the first pass; every cell runs twice in it."""
    return executed.figures[:10:2]


@pytest.fixture(scope="module")
def lines_of(executed, code):
    """Function: what a cell, named by a piece of it, prints line by line."""

    def lines(piece, skip=0):
        (number,) = (i for i, c in enumerate(code) if piece in c.source)
        rows = executed.printed[2 * number].splitlines()[skip:]
        return [row.split()[1:] for row in rows if row]

    return lines


def assert_drawn(line, x, y, color):
    """A line of a figure goes through the points, in the colour."""
    np.testing.assert_array_equal(line.get_xdata(), x)
    # quotients and products of the same numbers
    np.testing.assert_allclose(line.get_ydata(), y, rtol=1e-13)
    assert same_color(line.get_color(), color)


def test_the_printed_errors_are_those_of_the_gradients(notebook, lines_of):
    def norm_and_worst(*pair):
        errors = notebook.relative_error, notebook.worst_relative_error
        return [f"{error(*pair):.1e}" for error in errors]

    table = lines_of("others = [", 2)
    referee = lines_of("referee = ", 1)
    for i, ours in enumerate(notebook.gradients["backprop"]):
        others = [notebook.gradients[m][i] for m in notebook.others]
        assert table[i] == [
            text for other in others for text in norm_and_worst(ours, other)
        ]
        judged = [notebook.gradients[m][i] for m in notebook.methods]
        truth = notebook.gradients["complex step"][i]
        assert referee[i] == [norm_and_worst(g, truth)[0] for g in judged]


def test_the_printed_layer_differences_are_the_largest(notebook, lines_of):
    pairs = zip(
        notebook.torch_outputs,
        (notebook.a1, notebook.a2, notebook.output),
        strict=True,
    )
    printed = lines_of("largest difference")
    for row, (theirs, ours) in zip(printed, pairs, strict=True):
        largest = np.abs(theirs.T - ours).max()
        assert row[-1] == f"{largest:.1e}"
        # sums of a few terms below 1: some roundings
        assert largest <= 16 * np.finfo(float).eps


def test_the_layer_table_has_pytorch_on_the_left(code):
    (number,) = (i for i, c in enumerate(code) if "torch_a1 = " in c.source)
    shift = new_code_cell("a1, a2, output = a1 + 1, a2 + 1, output + 1")
    rows = run([*code[:number], shift, code[number]]).printed[-1].splitlines()
    values = [row.split("|") for row in rows if "PyTorch" not in row]
    assert len(values) == 15
    for left, right in values:
        pytorch, numpy = (
            np.array(text.split(), dtype=float) for text in (left, right)
        )
        # both are rounded to six decimals or more
        np.testing.assert_allclose(numpy, pytorch + 1, rtol=0, atol=2e-6)


def test_the_costs_are_printed_from_low_to_high(lines_of):
    times = [float(row[-3]) for row in lines_of("sorted(times")]
    assert len(times) == 7
    assert times == sorted(times)


def test_the_printed_entries_are_those_of_the_gradients(notebook, lines_of):
    methods = ("backprop", "numerical", "autograd")
    expected = []
    for i in range(6):
        ours, numerical, autograd = (
            notebook.gradients[m][i].ravel() for m in methods
        )
        rows = zip(ours, numerical, autograd, strict=True)
        difference = numerical - ours
        expected += [
            [*(f"{value:.7e}" for value in row), f"{off:.1e}"]
            for row, off in zip(rows, difference, strict=True)
        ]
    printed = [row[-4:] for row in lines_of("gradients = {\n")]
    entries = [row for row in printed if row[-1] != "difference"]
    assert entries == expected


def test_the_sweep_covers_thirteen_decades(notebook):
    steps = notebook.steps
    assert (np.diff(steps) > 0).all()
    assert steps[0] == pytest.approx(1e-13)
    assert steps[-1] == 1
    assert steps[notebook.usual] == pytest.approx(notebook.STEP)
    both = notebook.rounding + notebook.truncation
    np.testing.assert_array_equal(notebook.predicted, both)


def test_the_best_steps_are_the_printed_ones(notebook, lines_of):
    reference = notebook.gradients["backprop"]
    point = notebook.parameters, notebook.x, notebook.y
    best = notebook.best_steps(*point)
    for i, row in enumerate(lines_of("usual = ", 2)):
        size = np.linalg.norm(reference[i])
        there, usual = (
            np.linalg.norm(gradient - reference[i]) / size
            for gradient in (
                notebook.numerical_gradients(*point, best[i])[i],
                notebook.numerical_gradients(
                    *point, notebook.steps[notebook.usual]
                )[i],
            )
        )
        gain = usual / max(there, np.finfo(float).eps)
        ratio = notebook.measured[:, i] / notebook.predicted[:, i]
        rounding, truncation = notebook.rounding, notebook.truncation
        rules = (truncation[:, i] < rounding[:, i]) & (rounding[:, i] < size)
        assert row == [
            *(f"{best[i]:.0e}", f"{there:.1e}", f"{usual:.1e}"),
            *(f"{gain:.0f}", f"{np.median(ratio[rules]):.2f}"),
        ]


def test_no_other_step_has_a_smaller_predicted_error(notebook):
    point = notebook.parameters, notebook.x, notebook.y
    best = notebook.best_steps(*point)
    assert best.max() == 1
    # rounding so coarse that only a step beyond 1 would balance it
    assert (notebook.best_steps(*point, 1.0) == 1).all()

    def predicted(steps):
        return np.diagonal(sum(notebook.predicted_error(*point, steps)))

    assert (predicted(best) < predicted(best * 0.9)).all()
    # the loss is quadratic in W3 and b3: there the step is cut off at 1
    assert (predicted(best) < predicted(best * 1.1))[:4].all()


def test_the_single_precision_table_is_of_single_precision(notebook, lines_of):
    single = [
        array.astype(np.float32)
        for array in (*notebook.parameters, notebook.x, notebook.y)
    ]
    point = single[:6], *single[6:]
    double = notebook.parameters, notebook.x, notebook.y
    best = notebook.best_steps(*double, np.finfo(np.float32).eps)
    found = [
        [p.grad.numpy() for p in notebook.network32.parameters()],
        notebook.complex_step_gradients(*point),
        notebook.numerical_gradients(*point),
        notebook.gradients_at(best, *point),
    ]
    for i, row in enumerate(lines_of("epsilon32 = ", 1)):
        reference = notebook.gradients["backprop"][i]
        errors = [notebook.relative_error(g[i], reference) for g in found]
        assert row[:4] == [f"{error:.1e}" for error in errors]
        assert row[-1] == f"{best[i]:.1e}"


def test_every_figure_says_what_it_shows(figures):
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


def test_figure_1_is_the_network(notebook, figures):
    (axes,) = figures[0].axes
    texts = [text.get_text() for text in axes.texts]
    for layer in (1, 2, 3):
        weights, bias = notebook.parameters[2 * layer - 2 : 2 * layer]
        label = f"W{layer} {weights.shape}\nb{layer} {bias.shape}"
        assert label in texts
    assert texts.count("σ") == 8
    assert sum("sigmoid" in text for text in texts) == 2
    assert sum("no activation" in text for text in texts) == 1
    units = [points.get_offsets() for points in axes.collections]
    assert [len(layer) for layer in units] == [3, 4, 4, 2]
    ends = {tuple(unit) for layer in units for unit in layer}
    edges = {tuple(map(tuple, line.get_xydata())) for line in axes.lines}
    assert len(edges) == 3 * 4 + 4 * 4 + 4 * 2
    for left, right in edges:
        assert {left, right} <= ends
        assert right[0] == left[0] + 1
    for layer in units:
        assert layer[:, 1].mean() == 0


def test_figure_2_draws_measured_and_predicted_errors(notebook, figures):
    order = [0, 2, 4, 1, 3, 5]
    for axes, i in zip(figures[1].axes, order, strict=True):
        assert axes.get_title() == f"dL/d{notebook.NAMES[i]}"
        size = np.linalg.norm(notebook.gradients["backprop"][i])
        for line, errors, color in (
            (axes.lines[0], notebook.measured, "numerical"),
            (axes.lines[1], notebook.predicted, "prediction"),
        ):
            relative = errors[:, i] / size
            color = notebook.COLORS[color]
            assert_drawn(line, notebook.steps, relative, color)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


def test_figure_3_draws_gradients_and_their_errors(notebook, figures):
    (axes,) = figures[2].axes
    entries = np.sqrt([p.size for p in notebook.parameters])
    upper = notebook.norms(notebook.gradients["backprop"]) / entries
    lower = notebook.measured[notebook.usual] / entries
    colors = notebook.COLORS
    assert_drawn(axes.lines[0], np.arange(6), upper, colors["backprop"])
    assert_drawn(axes.lines[1], np.arange(6), lower, colors["numerical"])
    for i, text in enumerate(axes.texts[:6]):
        assert text.get_text() == f"{lower[i] / upper[i]:.0e}"
    (bars,) = axes.collections
    for i, bar in enumerate(bars.get_segments()):
        np.testing.assert_allclose(bar, [[i, lower[i]], [i, upper[i]]])


def test_figure_4_draws_both_methods_over_all_steps(notebook, figures):
    (axes,) = figures[3].axes
    assert notebook.wide_steps[0] == pytest.approx(1e-20)
    assert notebook.wide_steps[-1] == 1
    reference = notebook.gradients["backprop"][0]
    for line, method, function in zip(
        axes.lines,
        ("numerical", "complex step"),
        (notebook.numerical_gradients, notebook.complex_step_gradients),
        strict=True,
    ):
        errors = [
            notebook.relative_error(
                function(notebook.parameters, notebook.x, notebook.y, h)[0],
                reference,
            )
            for h in notebook.wide_steps
        ]
        color = notebook.COLORS[method]
        assert_drawn(line, notebook.wide_steps, errors, color)


def test_figure_5_draws_the_costs_and_the_theory(notebook, figures):
    (axes,) = figures[4].axes
    counts = [sum(p.size for p in network) for network in notebook.networks]
    assert counts[-1] >= 100 * counts[0]
    for line, method in zip(axes.lines, notebook.METHODS, strict=False):
        assert same_color(line.get_color(), notebook.COLORS[method])
        np.testing.assert_array_equal(line.get_xdata(), counts)
    black = notebook.COLORS["prediction"]
    assert_drawn(axes.lines[3], counts, 2 * np.array(counts), black)
    assert_drawn(axes.lines[4], counts, np.full(len(counts), 3), black)
    # each method holds a forward pass and cannot be cheaper; the median over
    # six networks, because single times are noise
    assert (np.median(notebook.costs, axis=0) > 1).all()
