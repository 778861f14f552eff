"""The gradients are right, at other points and by other ways."""

import tracemalloc

import mpmath
import numpy as np
import pytest
from references import (
    SIZES,
    complex_step_gradients,
    distances,
    exact_gradients,
    random_point,
)

EPSILON = np.finfo(np.float64).eps


def assert_close(notebook, ours, theirs, tolerance):
    """Relative error (norms) of each gradient within the tolerance."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert notebook.relative_error(one, other) <= tolerance


@pytest.mark.parametrize("scale", [0.01, 1.0, 3.0])
def test_the_two_references_agree(scale):
    point = random_point((2, 3, 5, 4, 3), scale)
    one, other = complex_step_gradients(*point), exact_gradients(*point)
    for found, exact in zip(one, other, strict=True):
        # 50 digits, some lost in sums that cancel
        assert (abs(found - exact) <= 1e-40 * abs(exact)).all()


@pytest.mark.parametrize("scale", [0.01, 0.3, 1.0, 3.0, 10.0])
def test_three_methods_match_the_reference(notebook, scale):
    point = random_point(SIZES, scale)
    exact = [g.astype(float) for g in exact_gradients(*point)]
    network = notebook.torch_network(point[0])
    for found in (
        notebook.backward(*point),
        notebook.autograd_gradients(network, *point[1:]),
        notebook.complex_step_gradients(*point),
    ):
        # a few units in the last place: some twenty roundings lie on the way
        # from the parameters to a gradient and add up like a random walk
        assert_close(notebook, found, exact, 16 * EPSILON)


def test_the_notebooks_gradients_are_right(notebook, point):
    exact = exact_gradients(*point)
    rounded = [g.astype(float) for g in exact]
    for method in ("backprop", "autograd", "complex step"):
        # some twenty roundings, as above
        found = notebook.gradients[method]
        assert_close(notebook, found, rounded, 16 * EPSILON)
    errors = distances(notebook.gradients["numerical"], exact)
    for error, bound in zip(errors, notebook.error_bounds(*point)):
        assert (error <= bound).all()
    for gradients in notebook.gradients.values():
        assert {type(gradient) for gradient in gradients} == {np.ndarray}


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
    # equal batches average their gradients
    halves = [
        notebook.backward(parameters, x[:, part], y[:, part])
        for part in (slice(0, 3), slice(3, 6))
    ]
    means = [(one + other) / 2 for one, other in zip(*halves, strict=True)]
    # some roundings of sums over six samples, here and below
    assert_close(notebook, gradients, means, 1e-14)
    # samples and hidden units in another order
    one, two, order = [2, 0, 3, 1], [1, 3, 0, 2], [3, 0, 4, 1, 5, 2]

    def permuted(arrays):
        W1, b1, W2, b2, W3, b3 = arrays
        return [W1[one], b1[one], W2[two][:, one], b2[two], W3[:, two], b3]

    found = notebook.backward(permuted(parameters), x[:, order], y[:, order])
    assert_close(notebook, found, permuted(gradients), 1e-14)
    # targets on the other side of the outputs, and on them
    output = notebook.forward(parameters, x)[-1]
    mirrored = notebook.backward(parameters, x, 2 * output - y)
    assert_close(notebook, mirrored, [-g for g in gradients], 1e-14)
    assert not any(map(np.any, notebook.backward(parameters, x, output)))


def test_single_precision_stays_single(notebook, point):
    *parameters, x, y = (a.astype(np.float32) for a in (*point[0], *point[1:]))
    output = notebook.forward(parameters, x)[-1]
    assert notebook.mean_squared_loss(output, y).dtype == np.float32
    network = notebook.torch_network(parameters).float()
    for gradients in (
        notebook.backward(parameters, x, y),
        notebook.complex_step_gradients(parameters, x, y),
        notebook.numerical_gradients(parameters, x, y, np.float64(0.1)),
        notebook.autograd_gradients(network, x, y),
        *notebook.gradients32.values(),
    ):
        assert {g.dtype for g in gradients} == {np.dtype(np.float32)}


def test_removing_the_cause_removes_the_error(notebook):
    # 60 to 9000 and 2 to 5 here, noise in proportion to noise
    _, here, order_one = notebook.removed.values()
    assert np.median(np.array(here, dtype=float)) >= 50
    assert np.median(np.array(order_one, dtype=float)) <= 20


def test_the_third_derivatives_are_halves_and_noise(notebook):
    ratios = notebook.third / notebook.norms(notebook.reference)
    # activations within 0.005 of 1/2: slopes and bends to some 1e-3
    np.testing.assert_allclose(ratios[1:4], [1 / 2, 1 / 8, 1 / 2], rtol=0.01)
    # 600 roundings of 1e-16, and some
    assert (ratios[4:] <= 1e-11).all()


def test_the_sweep_is_what_the_figure_says(notebook):
    steps = notebook.steps
    curves = {name: np.array(c) for name, c in notebook.curves.items()}
    middle = (steps > 1e-9) & (steps < 1e-5)
    for curve in ("central difference", "estimate", "bound"):
        logs = np.log(curves[curve][middle])
        # rounding falls as 1/h; the noise is a factor of some two
        for slope in np.polyfit(np.log(steps[middle]), logs, 1)[0]:
            assert slope == pytest.approx(-1, abs=0.15)
    # truncation grows as the estimate says, but for the next term
    truncation = curves["estimate"][-5:, :4]
    measured = curves["central difference"][-5:, :4]
    np.testing.assert_allclose(measured, truncation, rtol=0.1)
    flat = curves["complex step"][steps < 1e-9]
    # some hundred roundings
    assert (flat <= 1e-13 * notebook.norms(notebook.reference)).all()


def test_relative_errors_follow_their_formula(notebook):
    error = notebook.relative_error
    a, b = np.array([3.0, 4.0]), np.array([7.0, 1.0])
    # |a - b| = 5, |a| = 5, |b| = sqrt(50): decimals of binary fractions
    assert error(a, b) == error(b, a) == pytest.approx(5 / 50**0.5)
    assert error(a, a) == error(0 * a, 0 * a) == 0
    assert (error(a, 0 * a), error(a, -a)) == (1, 2)
    assert type(error(a, b)) is float
    assert np.isnan(error(np.array([np.nan, 1.0]), b))
    a, b = np.array([1.0, 0.0, 1e-9]), np.array([1.1, 0.0, -2e-9])
    for one, other in ((a, b), (b, a), (-a, -b)):
        found = notebook.entry_errors(one, other)
        np.testing.assert_allclose(found, [0.1 / 1.1, 0, 1.5])


def test_the_sigmoid_is_right_to_the_last_digits(notebook):
    edges = [745.2, 745.1, 740, 710, 709.8, 708, 37, 36.7, 1e-3, 1e-300]
    points = np.array([*np.linspace(-750, 750, 1501), *edges])
    points = np.concatenate([points, -points])
    with mpmath.workdps(50):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(z)))) for z in points]
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        found = notebook.sigmoid(points)
    # exp, a sum and a quotient: up to 3 roundings; below 2.2e-308 the
    # spacing of the numbers themselves is 4.9e-324
    np.testing.assert_allclose(found, exact, rtol=3 * 2.3e-16, atol=1.5e-323)


def test_the_sigmoid_takes_infinity_nan_and_any_shape(notebook):
    far = np.array([-np.inf, -1e300, -800.0, 800.0, 1e300, np.inf])
    assert notebook.sigmoid(far).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.isnan(notebook.sigmoid(np.nan))
    assert notebook.sigmoid(0) == 0.5
    assert notebook.sigmoid([0, 0.0]).tolist() == [0.5, 0.5]
    assert notebook.sigmoid(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert notebook.sigmoid(np.array([0], dtype=np.float32)).dtype == "f4"


def test_complex_sigmoids_are_right(notebook):
    points = np.array([1 + 2j, -1 + 2j, -3 - 0.5j, 600 + 1j, -600 + 1j, 1j])
    with mpmath.workdps(50):
        exact = [complex(1 / (1 + mpmath.exp(-mpmath.mpc(z)))) for z in points]
    # some complex roundings
    np.testing.assert_allclose(notebook.sigmoid(points), exact, rtol=1e-14)
