"""The functions of the submission are right, here and at other points."""

import tracemalloc

import mpmath
import numpy as np
import pytest
import torch
from references import (
    SIZES,
    distances,
    exact_gradient,
    random_point,
    sheet_point,
    single,
)

EPSILON = np.finfo(float).eps
# some twenty roundings lie on the way from the parameters to a gradient, each
# EPSILON / 2 or less, and do not all have one sign
FEW_ROUNDINGS = 16 * EPSILON


def relative(found, exact):
    """Relative error of a vector in norms, for an exact one of mpmath."""
    error = np.linalg.norm(distances(found, exact))
    return error / np.linalg.norm(exact.astype(float))


# ------------------------------------------------------------- network, loss


def test_the_sigmoid_is_right_to_three_roundings(definitions):
    edges = [709.7, 709, 708, 37, 36.7, 1e-3, 1e-300]
    z = np.concatenate(
        [np.linspace(-709, 709, 1419), edges, np.negative(edges)]
    )
    z = z[z >= -709]
    for dtype, roundings, lowest in (
        (float, 3, -709),
        (np.float32, 5, -88),
    ):
        points = z[z >= lowest].astype(dtype)
        with mpmath.workdps(30):
            exact = [
                1 / (1 + mpmath.exp(-mpmath.mpf(float(p))))
                for p in points
            ]
            found = definitions.sigmoid(points)
            assert found.dtype == dtype
            errors = [
                abs(mpmath.mpf(float(f)) / e - 1)
                for f, e in zip(found, exact)
            ]
        # exp, a sum and a quotient, each about one unit of EPSILON / 2
        assert max(errors) <= roundings * np.finfo(dtype).eps / 2


def test_the_sigmoid_takes_what_people_pass(definitions):
    sigmoid = definitions.sigmoid
    far = [-np.inf, -1e300, -800.0, 800.0, 1e300, np.inf]
    assert sigmoid(far).tolist() == [0, 0, 0, 1, 1, 1]
    assert np.isnan(sigmoid(np.nan))
    assert sigmoid(0) == 0.5
    assert sigmoid([0, 0.0]).tolist() == [0.5, 0.5]
    one = 1 / (1 + np.exp(-1))
    assert sigmoid(np.array([1], dtype=np.uint8)) == pytest.approx(one)
    assert sigmoid(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    found = sigmoid(np.array([0.3 + 1e-20j]))
    slope = sigmoid(0.3) * (1 - sigmoid(0.3))
    assert found.imag / 1e-20 == pytest.approx(slope)


def test_forward_is_the_formula(definitions):
    parameters, x, _ = random_point((3, 5, 4, 2, 6))
    W1, b1, W2, b2, W3, b3 = parameters
    a1, a2, output = definitions.forward(parameters, x)
    for n in range(6):  # sample by sample, unit by unit
        first = [
            definitions.sigmoid(W1[i] @ x[:, n] + b1[i]) for i in range(5)
        ]
        second = [
            definitions.sigmoid(W2[i] @ first + b2[i]) for i in range(4)
        ]
        last = [W3[i] @ second + b3[i] for i in range(2)]
        # a few roundings of sums of five terms of order one
        np.testing.assert_allclose(a1[:, n], first, rtol=1e-14)
        np.testing.assert_allclose(a2[:, n], second, rtol=1e-14)
        np.testing.assert_allclose(
            output[:, n], last, rtol=1e-13, atol=1e-14
        )


def test_a_stack_of_networks_is_each_network(definitions):
    points = [random_point(seed=seed) for seed in range(3)]
    _, x, y = points[0]
    stack = [
        np.stack(arrays) for arrays in zip(*(p for p, _, _ in points))
    ]
    together = definitions.forward(stack, x)
    losses = definitions.mean_squared_loss(together[-1], y)
    assert losses.shape == (3,)
    for k, (parameters, _, _) in enumerate(points):
        alone = definitions.forward(parameters, x)
        for one, other in zip(together, alone):
            np.testing.assert_allclose(one[k], other, rtol=1e-13)
        loss = definitions.mean_squared_loss(alone[-1], y)
        assert losses[k] == pytest.approx(loss, rel=1e-13)


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_the_loss_is_equation_1(definitions, outputs):
    draw = np.random.RandomState(1).standard_normal
    output, y = draw((outputs, 7)), draw((outputs, 7))
    terms = [
        np.linalg.norm(output[:, n] - y[:, n]) ** 2 / 2 for n in range(7)
    ]
    found = definitions.mean_squared_loss(output, y)
    assert found == pytest.approx(sum(terms) / 7, rel=1e-14)
    theirs = definitions.torch_loss(
        torch.tensor(output.T), torch.tensor(y.T)
    )
    assert theirs.item() == pytest.approx(found, rel=1e-14)


# ------------------------------------------------------------------ gradients

METHODS = ["backprop", "autograd", "complex step"]


def gradient_by(method, definitions, parameters, x, y):
    """The gradient of the loss as a vector, by one of the methods."""
    if method == "backprop":
        return definitions.flatten(definitions.backward(parameters, x, y))
    if method == "autograd":
        network = definitions.torch_network(parameters)
        gradients = definitions.autograd_gradients(network, x, y)
        return definitions.flatten(gradients)
    f = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    if method == "numerical":
        return definitions.numerical_gradient(f, theta)
    return definitions.complex_step_gradient(f, theta)


@pytest.mark.parametrize("scale", ["sheet", 0.01, 0.3, 1.0, 3.0, 10.0])
@pytest.mark.parametrize("method", METHODS)
def test_three_methods_are_right_to_a_few_roundings(
    definitions, method, scale
):
    point = (
        sheet_point() if scale == "sheet" else random_point(scale=scale)
    )
    exact = exact_gradient(*point)
    found = gradient_by(method, definitions, *point)
    assert relative(found, exact) <= FEW_ROUNDINGS
    shapes = [p.shape for p in point[0]]
    cut = zip(
        definitions.unflatten(found, shapes),
        np.split(exact, np.cumsum([p.size for p in point[0]])[:-1]),
    )
    for one, other in cut:  # each gradient by itself, too
        assert relative(one.ravel(), other) <= 2 * FEW_ROUNDINGS


def test_numerical_gradients_are_right_to_their_error(definitions):
    point = random_point(
        (4, 7, 5, 3, 2)
    )  # more rows than one stack holds
    found = gradient_by("numerical", definitions, *point)
    # rounding of the loss, divided by h, for this loss of order one
    np.testing.assert_allclose(
        found, exact_gradient(*point).astype(float), rtol=0, atol=1e-8
    )


@pytest.mark.parametrize("method", [*METHODS, "numerical"])
def test_single_precision_stays_single(definitions, method):
    point = single(*sheet_point())
    assert gradient_by(method, definitions, *point).dtype == np.float32


def test_a_difference_is_one_of_two_moved_values(definitions):
    seen = []

    def f(rows):
        seen.append(rows.copy())
        return (rows**2).sum(axis=-1)

    theta, h = np.array([3.0, -4.0, 0.5]), 2.0**-10
    found = definitions.numerical_gradient(f, theta, h)
    plus, minus = seen
    # the moved entries are exact, and so are the squares of such numbers
    np.testing.assert_array_equal(plus[:3], theta + h * np.eye(3))
    np.testing.assert_array_equal(minus[:3], theta - h * np.eye(3))
    np.testing.assert_array_equal(found, 2 * theta)
    seen.clear()
    definitions.complex_step_gradient(f, theta, h)
    np.testing.assert_array_equal(seen[0][:3], theta + 1j * h * np.eye(3))


def test_the_customary_steps_are_the_defaults(definitions):
    def f(t):
        return t[..., 0] ** 3

    theta = np.array([2.0])
    for name, h in (
        ("numerical_gradient", 1e-5),
        ("complex_step_gradient", 1e-20),
    ):
        function = getattr(definitions, name)
        np.testing.assert_array_equal(
            function(f, theta), function(f, theta, h)
        )
        assert function(f, theta)[0] == pytest.approx(12, rel=1e-9)


@pytest.mark.parametrize("size", [1, 2, 46, 47, 48, 49, 96, 97, 130])
def test_every_entry_is_moved_once(definitions, size):
    def f(rows):
        # a square stack would hide that a row was taken for an entry
        assert rows.shape[0] != rows.shape[1] == size
        return (rows**2).sum(axis=-1)

    theta = np.arange(1.0, size + 1)
    found = definitions.numerical_gradient(f, theta)
    # neighbours differ by 2; f is below 1e6, so it rounds to 1e-5 of h
    np.testing.assert_allclose(found, 2 * theta, rtol=0, atol=1e-3)
    stacks = list(definitions.unit_vectors(theta))
    np.testing.assert_array_equal(np.concatenate(stacks), np.eye(size))
    assert max(map(len, stacks)) <= 48
    stepped = definitions.complex_step_gradient(f, theta)
    np.testing.assert_allclose(stepped, 2 * theta, rtol=1e-15)


def test_a_function_of_one_vector_only_is_refused(definitions):
    def rosenbrock(t):  # takes a row of the stack for an entry
        return (1 - t[0]) ** 2 + 100 * (t[1] - t[0] ** 2) ** 2

    theta = np.array([1.0, 2.0])
    for name in (
        "numerical_gradient",
        "complex_step_gradient",
        "error_bounds",
    ):
        with pytest.raises(ValueError, match="one number for each row"):
            getattr(definitions, name)(rosenbrock, theta)


class EnoughError(Exception):
    """Ends a long run after some stacks, which are all of one size."""


@pytest.mark.parametrize(
    "name", ["numerical_gradient", "complex_step_gradient"]
)
def test_memory_stays_bounded(definitions, name):
    parameters, x, y = random_point((20, 120, 120, 5, 8), 0.1)
    L = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    assert theta.size == 17645
    calls = []

    def f(rows):
        calls.append(len(rows))
        if len(calls) > 20:
            raise EnoughError
        return L(rows)

    tracemalloc.start()
    with pytest.raises(EnoughError):
        getattr(definitions, name)(f, theta)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # the identity alone would take 2.5 GB
    assert peak < 150e6


def test_the_gradients_have_the_symmetries_of_the_network(definitions):
    parameters, x, y = random_point((3, 4, 4, 2, 6))
    gradients = definitions.backward(parameters, x, y)
    order = [3, 0, 4, 1, 5, 2]
    shuffled = definitions.backward(parameters, x[:, order], y[:, order])
    # targets on the other side of the outputs, and on them
    _, _, output = definitions.forward(parameters, x)
    mirrored = definitions.backward(parameters, x, 2 * output - y)
    for one, two, three in zip(gradients, shuffled, mirrored):
        assert definitions.relative_error(one, two) <= FEW_ROUNDINGS
        assert definitions.relative_error(one, -three) <= FEW_ROUNDINGS
    fitted = definitions.backward(parameters, x, output)
    assert not any(gradient.any() for gradient in fitted)


def test_unflatten_undoes_flatten(definitions):
    parameters, _, _ = random_point(SIZES)
    shapes = [p.shape for p in parameters]
    vector = definitions.flatten(parameters)
    assert vector.tolist() == [v for p in parameters for v in p.ravel()]
    for one, other in zip(
        definitions.unflatten(vector, shapes), parameters
    ):
        np.testing.assert_array_equal(one, other, strict=True)
    stack = np.stack([vector, 2 * vector, 3 * vector])
    for one, other in zip(
        definitions.unflatten(stack, shapes), parameters
    ):
        expected = np.stack([other, 2 * other, 3 * other])
        np.testing.assert_array_equal(one, expected)
    np.testing.assert_array_equal(definitions.flatten(vector), vector)


def test_relative_errors_follow_their_formula(definitions):
    error = definitions.relative_error
    a, b = np.array([3.0, 4.0]), np.array([7.0, 1.0])
    # |a - b| = 5, |a| = 5, |b| = sqrt(50)
    assert error(a, b) == error(b, a) == pytest.approx(5 / 50**0.5)
    assert error(a, a) == error(0 * a, 0 * a) == 0
    assert (error(a, 0 * a), error(a, -a)) == (1, 2)
    assert isinstance(error(a, b), float)
    assert np.isnan(error(np.array([np.nan, 1.0]), b))
    a, b = np.array([1.0, 0.0, 1e-9]), np.array([1.1, 0.0, -2e-9])
    for pair in ((a, b), (b, a), (-a, -b)):
        found = definitions.entry_errors(*pair)
        np.testing.assert_allclose(found, [0.1 / 1.1, 0, 1.5])


def test_factoring_is_the_same_difference(definitions):
    parameters, x, y = random_point()
    found = definitions.factored_gradient(parameters, x, y, 1e-5)
    f = definitions.loss_function(parameters, x, y)
    plain = definitions.numerical_gradient(
        f, definitions.flatten(parameters)
    )
    # both are off by some roundings of a loss of order one, divided by h
    np.testing.assert_allclose(found, plain, rtol=0, atol=1e-8)


def test_the_true_loss_is_true(definitions):
    parameters, x, y = random_point()
    theta = definitions.flatten(parameters)
    shapes = [p.shape for p in parameters]
    found = definitions.true_loss(theta, shapes, x, y)
    with mpmath.workdps(60):
        W1, b1, W2, b2, W3, b3 = (
            np.vectorize(mpmath.mpf)(p) for p in parameters
        )
        exp = np.vectorize(lambda z: 1 / (1 + mpmath.exp(-z)))
        a1 = exp(W1 @ x + b1[:, np.newaxis])
        a2 = exp(W2 @ a1 + b2[:, np.newaxis])
        exact = ((W3 @ a2 + b3[:, np.newaxis] - y) ** 2).sum() / (
            2 * x.shape[1]
        )
        # 40 digits, less a few of rounding
        assert abs(mpmath.mpf(str(found)) / exact - 1) < 1e-37
    computed = definitions.mean_squared_loss(
        definitions.forward(parameters, x)[-1], y
    )
    off = definitions.ticks_off(computed, found)
    assert off == pytest.approx(
        float((mpmath.mpf(computed) - exact) / np.spacing(computed)),
        abs=0.01,
    )
    assert abs(off) < 30  # as many roundings as there are


# --------------------------------------------------------- the sheets' network


def test_the_named_results_are_those_of_the_sheets(submission):
    names = submission.names
    parameters, x, y = sheet_point()
    for ours, theirs in zip(names.parameters, parameters):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(names.theta, names.flatten(parameters))
    _, _, output = names.forward(parameters, x)
    assert names.L(names.theta) == names.mean_squared_loss(output, y)
    for param, array in zip(
        names.model.parameters(), parameters, strict=True
    ):
        assert param.dtype == torch.float64
        np.testing.assert_array_equal(param.detach().numpy(), array)


def test_the_four_gradients_are_what_their_names_say(submission):
    names = submission.names
    point = sheet_point()
    exact = exact_gradient(*point)
    assert set(names.gradients) == {*METHODS, "numerical"}
    for gradients in names.gradients.values():
        assert [g.shape for g in gradients] == [p.shape for p in point[0]]
    for method in METHODS:
        found = names.flatten(names.gradients[method])
        assert relative(found, exact) <= FEW_ROUNDINGS
        again = gradient_by(method, names, *point)
        np.testing.assert_array_equal(found, again)
    again = names.numerical_gradient(names.L, names.theta)
    numerical = names.flatten(names.gradients["numerical"])
    np.testing.assert_array_equal(numerical, again)
    # whole numbers of q: this is no gradient of another method
    multiples = numerical * 2e-5 / 2.0**-52
    np.testing.assert_allclose(
        multiples, np.rint(multiples), rtol=3 * EPSILON
    )
