"""The gradients are right, at other points and by other ways."""

import tracemalloc

import mpmath
import numpy as np
import pytest
from references import (
    SIZES,
    assert_within,
    distances,
    exact_gradients,
    norm_ratios,
    random_point,
    single,
)

EPSILON = np.finfo(np.float64).eps
# some twenty roundings lie on the way from the parameters to a gradient, each
# EPSILON / 2 or less, and do not all have one sign
FEW_ROUNDINGS = 16 * EPSILON


def assert_close(notebook, ours, theirs, tolerance=FEW_ROUNDINGS):
    """Relative error (norms) of each gradient within the tolerance."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert notebook.relative_error(one, other) <= tolerance


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_three_methods_match_the_reference(notebook, scale):
    point = random_point(SIZES, scale)
    exact = [g.astype(float) for g in exact_gradients(*point)]
    network = notebook.torch_network(point[0])
    autograd = notebook.autograd_gradients(network, *point[1:])
    complex_step = notebook.complex_step_gradients(*point)
    for found in (notebook.backward(*point), autograd, complex_step):
        assert_close(notebook, found, exact)


def test_the_notebooks_gradients_are_right(notebook, point):
    exact = exact_gradients(*point)
    rounded = [g.astype(float) for g in exact]
    for method in ("backprop", "autograd", "complex step"):
        assert_close(notebook, notebook.gradients[method], rounded)
    errors = distances(notebook.gradients["numerical"], exact)
    assert_within(errors, notebook.error_bounds(*point))


@pytest.mark.parametrize("function", ["numerical_gradients", "error_bounds"])
def test_memory_stays_bounded(notebook, function):
    point = random_point((20, 60, 60, 5, 32), 0.1)
    tracemalloc.start()
    getattr(notebook, function)(*point)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 5225 copies at once would take 218 MB for each array of the stack
    assert peak < 100e6


def test_the_gradients_have_the_symmetries_of_the_network(notebook):
    parameters, x, y = random_point((3, 4, 4, 2, 6), 1.0)
    gradients = notebook.backward(parameters, x, y)
    order = [3, 0, 4, 1, 5, 2]
    found = notebook.backward(parameters, x[:, order], y[:, order])
    assert_close(notebook, found, gradients)
    # targets on the other side of the outputs, and on them
    output = notebook.forward(parameters, x)[-1]
    mirrored = notebook.backward(parameters, x, 2 * output - y)
    assert_close(notebook, mirrored, [-g for g in gradients])
    assert not any(map(np.any, notebook.backward(parameters, x, output)))


def test_single_precision_stays_single(notebook, point):
    parameters, x, y = single(*point)
    output = notebook.forward(parameters, x)[-1]
    assert notebook.mean_squared_loss(output, y).dtype == np.float32
    for gradients in (
        notebook.backward(parameters, x, y),
        *notebook.gradients32.values(),
        notebook.numerical_gradients(parameters, x, y, np.float64(0.1)),
    ):
        assert {g.dtype for g in gradients} == {np.dtype(np.float32)}


def test_the_tables_hold_what_their_headings_say(notebook, point):
    error = notebook.relative_error
    for pair in list(notebook.agreement)[1:]:
        both = [notebook.gradients[method] for method in pair.split(", ")]
        assert notebook.agreement[pair] == list(map(error, *both))
    for method, errors in notebook.entry_errors.items():
        pairs = zip(notebook.gradients[method], notebook.reference)
        expected = [error(*pair, np.abs) for pair in pairs]
        assert all(map(np.array_equal, errors, expected))
    for place, theta in notebook.places.items():
        ratios = norm_ratios(notebook, (theta, *point[1:]), 1e-5)
        np.testing.assert_allclose(notebook.tightness[place], ratios, 1e-3)


def test_single_precision_is_compared_with_double(notebook, point):
    exact = [g.astype(float) for g in exact_gradients(*single(*point))]
    for method, found in notebook.gradients32.items():
        errors = list(map(notebook.relative_error, found, exact))
        # double rounds a millionth of what single does
        np.testing.assert_allclose(notebook.agreement32[method], errors, 1e-6)
    # six digits of the last layer, none of the first
    assert max(notebook.agreement32["numerical, 0.1"][4:]) <= 1e-5
    assert min(notebook.agreement32["numerical, 1e-05"][:4]) >= 0.5


def test_removing_the_cause_removes_the_error(notebook, point):
    found = notebook.factored_gradients(*point)
    errors = distances(found, exact_gradients(*point))
    assert_within(errors, notebook.error_bounds(*point))
    # 90 to 9000 and 2 to 5 here, noise in proportion to noise
    assert np.median(notebook.falls["here"]) >= 50
    assert 1.2 <= np.median(notebook.falls["draw"]) <= 20


def test_the_grid_is_that_of_the_losses(notebook, point):
    # all losses are in [1, 2)
    assert notebook.q == 2.0**-52 / (2 * 1e-5)
    entries = [g.ravel() for g in notebook.gradients["numerical"]]
    found = notebook.multiples * notebook.q
    np.testing.assert_allclose(found, np.concatenate(entries))
    losses = notebook.moved_losses(*single(*point), np.float32([1e-5, -1e-5]))
    multiples = np.subtract(*losses) / 2.0**-23
    np.testing.assert_array_equal(notebook.multiples32, multiples)


def test_the_sweep_is_what_the_figure_says(notebook, point):
    steps, third = notebook.steps[:, np.newaxis], notebook.third
    curves = {name: np.array(c) for name, c in notebook.curves.items()}
    # activations within 0.005 of 1/2: slopes and bends to some 1e-3
    ratios = third / notebook.norms(notebook.reference)
    np.testing.assert_allclose(ratios[1:4], [1 / 2, 1 / 8, 1 / 2], rtol=0.01)
    # a difference of gradients that round, times 6 / 0.1**2
    assert (ratios[4:] <= FEW_ROUNDINGS * 6 / 0.1**2).all()
    rounding = np.sqrt([p.size for p in point[0]]) * EPSILON / 2 / steps
    truncation = third * [1, 1, 1, 1, 0, 0] * steps**2 / 6
    estimate = rounding * notebook.loss + truncation
    np.testing.assert_allclose(curves["estimate"], estimate)
    # truncation grows as the third derivatives say, but for the next term
    for curve in ("numerical", "complex step"):
        measured = curves[curve][-5:-1, :4]
        np.testing.assert_allclose(measured, truncation[-5:-1, :4], rtol=0.1)
    own = FEW_ROUNDINGS * notebook.norms(notebook.reference)
    assert (curves["complex step"][notebook.steps < 1e-9] <= own).all()
    exact = exact_gradients(*point)
    for k in (0, 20, 39):
        bounds = notebook.error_bounds(*point, notebook.steps[k])
        assert np.array_equal(curves["bound"][k], notebook.norms(bounds))
        found = notebook.numerical_gradients(*point, notebook.steps[k])
        errors = notebook.norms(distances(found, exact))
        assert (np.abs(curves["numerical"][k] - errors) <= own).all()
    least = notebook.steps[estimate.argmin(axis=0)]
    for name in ("h, estimate", "h, bound"):
        # the steps of the sweep are a factor of 2.2 apart
        factor = np.exp(np.abs(np.log(notebook.best_steps[name] / least)))
        assert (factor[:4] <= 3).all()
    assert (notebook.gains >= 1).all()
    # the cube root of epsilon is 6e-6
    draw = notebook.best_steps["h, draw"][:4]
    assert ((draw > 1e-6) & (draw < 1e-3)).all()
    for axes in notebook.figure.axes:  # of the last figure
        i = notebook.GRADIENTS.index(axes.get_title())
        drawn = axes.get_lines()[0].get_ydata() * own[i] / FEW_ROUNDINGS
        np.testing.assert_allclose(drawn[:30], curves["numerical"][:30, i])


def test_the_networks_are_counted(notebook, monkeypatch):
    counts, forward = [], notebook.forward

    def counted(parameters, x):
        counts.append(int(np.prod(parameters[1].shape[:-1])))
        return forward(parameters, x)

    monkeypatch.setitem(forward.__globals__, "forward", counted)
    table = dict(zip(notebook.calls, notebook.costs["networks"]))
    assert table.pop("autograd") == 1  # by PyTorch's own forward pass
    for method, networks in table.items():
        counts.clear()
        assert len(notebook.calls[method]()) == 3 + 3 * ("pass" not in method)
        assert sum(counts) == networks


def test_relative_errors_follow_their_formula(notebook):
    error = notebook.relative_error
    a, b = np.array([3.0, 4.0]), np.array([7.0, 1.0])
    # |a - b| = 5, |a| = 5, |b| = sqrt(50): decimals of binary fractions
    assert error(a, b) == error(b, a) == pytest.approx(5 / 50**0.5)
    assert error(a, a) == error(0 * a, 0 * a) == 0
    assert (error(a, 0 * a), error(a, -a)) == (1, 2)
    assert np.isnan(error(np.array([np.nan, 1.0]), b))
    a, b = np.array([1.0, 0.0, 1e-9]), np.array([1.1, 0.0, -2e-9])
    for one, other in ((a, b), (b, a), (-a, -b)):
        found = error(one, other, np.abs)
        np.testing.assert_allclose(found, [0.1 / 1.1, 0, 1.5])


def test_the_sigmoid_is_right_to_the_last_digits(notebook):
    edges = [745.2, 745.1, 740, 710, 709.8, 708, 37, 36.7, 1e-3, 1e-300]
    points = np.array([*np.linspace(-750, 750, 1501), *edges])
    points = np.concatenate([points, -points])
    turned = points[np.abs(points) < 700] + 2j
    with mpmath.workdps(50):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(z)))) for z in points]
        complex_exact = [complex(1 / (1 + mpmath.exp(-z))) for z in turned]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found, complex_found = map(notebook.sigmoid, (points, turned))
    # exp, a sum and a quotient: up to 3 roundings; below 2.2e-308 the
    # spacing of the numbers themselves is 4.9e-324
    np.testing.assert_allclose(found, exact, rtol=3 * 2.3e-16, atol=1.5e-323)
    # as many complex ones, of a few real ones each
    np.testing.assert_allclose(complex_found, complex_exact, rtol=1e-14)


def test_the_sigmoid_takes_infinity_nan_and_any_shape(notebook):
    far = [-np.inf, -1e300, -800.0, 800.0, 1e300, np.inf]
    assert notebook.sigmoid(far).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.isnan(notebook.sigmoid(np.nan))
    assert notebook.sigmoid([0, 0.0]).tolist() == [0.5, 0.5]
    assert notebook.sigmoid(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert notebook.sigmoid(np.array([0], dtype=np.float32)).dtype == "f4"
