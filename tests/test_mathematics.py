"""The functions of sections 1 to 5, at points that nobody chose."""

from decimal import localcontext

import numpy as np
import pytest
import torch

import exact

POINTS = {  # sizes of inputs, both hidden layers, outputs, samples; scale
    "all sizes differ": ((3, 5, 4, 2, 6), 1.0),
    "one of each": ((1, 1, 1, 1, 1), 1.0),
    "one unit a layer": ((4, 1, 1, 3, 5), 1.0),
    "one sample": ((2, 3, 5, 4, 1), 1.0),
    "many samples": ((2, 3, 4, 5, 100), 1.0),
    "small weights": ((3, 4, 4, 2, 5), 0.01),
    "large weights": ((3, 6, 4, 5, 2), 10.0),
}


@pytest.fixture(scope="module", params=POINTS)
def point(request):
    """Parameters, inputs and targets."""
    sizes, scale = POINTS[request.param]
    return exact.network(list(POINTS).index(request.param), sizes, scale)


@pytest.fixture(scope="module")
def right(point):
    """Layers, loss and gradients to 60 digits."""
    return exact.forward_and_backward(*point)


def assert_close(found, right, tolerance):
    """Each entry of the arrays is within its tolerance."""
    assert len(found) == len(right)
    for f, r, t in zip(found, right, tolerance):
        assert f.shape == r.shape
        assert (exact.distance(f, r) <= t).all()


def test_forward_loss_and_backward(book, point, right):
    layers, loss, gradients = right
    tolerances = exact.tolerances(*point)
    parameters, x, y = point
    found = book.forward(parameters, x)
    assert_close(found, layers, tolerances[0])
    found_loss = book.mean_squared_loss(found[-1], y)
    assert exact.distance(found_loss, loss) <= tolerances[1]
    assert_close(book.backward(*point), gradients, tolerances[2])


def test_autograd(book, point, right):
    parameters, x, y = point
    network = book.torch_network(parameters)
    assert isinstance(network, torch.nn.Module)
    for _ in range(2):  # the second gradients are not added to the first
        found = book.autograd_gradients(network, x, y)
        assert all(isinstance(array, np.ndarray) for array in found)
        assert_close(found, right[2], exact.tolerances(*point)[2])


def test_complex_step(book, point, right):
    L = book.loss_function(*point)
    found = book.complex_step_gradient(L, book.flatten(point[0]))
    # a product of complex numbers is two products and a sum
    tolerance = 3 * book.flatten(exact.tolerances(*point)[2])
    assert_close([found], [book.flatten(right[2])], [tolerance])


@pytest.mark.parametrize("h", [1e-5, 1e-2])
def test_numerical_gradient_is_the_central_quotient(book, point, h):
    theta = book.flatten(point[0])
    found = book.numerical_gradient(book.loss_function(*point), theta, h)
    assert found.shape == theta.shape
    # two losses are rounded, and the quotient of their difference
    tolerance = 2 * exact.tolerances(*point)[1] / (2 * h)
    for k in range(0, theta.size, 1 + theta.size // 4):
        move = h * (np.arange(theta.size) == k)
        losses = [exact.loss(theta + m, *point) for m in (move, -move)]
        with localcontext() as context:
            context.prec = exact.DIGITS
            quotient = losses[0] - losses[1]
            quotient /= exact.as_decimals(2 * h).item()
        off = exact.distance(found[k], quotient)
        assert off <= tolerance + 4 * exact.U * abs(found[k])


@pytest.mark.parametrize("P", [1, 63, 64, 65, 130])
def test_more_entries_than_rows_at_a_time(book, P):
    c, t = np.arange(1.0, P + 1), np.linspace(-1, 2, P)

    def quadratic(t):
        """Its derivatives are 2 c t; central quotients are exact."""
        return (c * t**2).sum(axis=-1)

    # P terms are summed, each of at most 4 c, and divided by 2h
    tolerance = exact.U * P * 4 * c.sum() / 1e-3
    found = book.numerical_gradient(quadratic, t, 1e-3)
    assert np.abs(found - 2 * c * t).max() <= tolerance


def test_a_stack_of_networks(book):
    sizes = (3, 5, 4, 2, 6)
    networks = [exact.network(seed, sizes)[0] for seed in (1, 2)]
    _, x, y = exact.network(3, sizes)
    stack = [np.stack(pair) for pair in zip(*networks)]
    layers = book.forward(stack, x)
    losses = book.mean_squared_loss(layers[-1], y)
    L = book.loss_function(networks[0], x, y)
    of_rows = L(np.stack([book.flatten(network) for network in networks]))
    for i, network in enumerate(networks):
        right, loss, _ = exact.forward_and_backward(network, x, y)
        tolerances = exact.tolerances(network, x, y)
        assert_close([a[i] for a in layers], right, tolerances[0])
        for found in losses[i], of_rows[i], L(book.flatten(network)):
            assert exact.distance(found, loss) <= tolerances[1]


def test_relative_error(book):
    a, b = np.array([[3.0, 4.0]]), np.array([[3.0, 5.0]])
    # a few roundings of a number below 1
    for pair in (a, b), (b, a), (7 * a, 7 * b):
        found = book.relative_error(*pair)
        assert abs(found - 34**-0.5) < 4 * exact.U
    assert book.relative_error(a, a) == book.relative_error(0 * a, 0 * a) == 0
    assert np.isnan(book.relative_error(a, np.nan * a))


def test_nothing_given_is_changed(book, point):
    parameters, x, y = point
    theta = book.flatten(parameters)
    given = [*parameters, x, y, theta]
    before = [array.copy() for array in given]
    L = book.loss_function(*point)
    book.forward(parameters, x)
    network = book.torch_network(parameters)
    found = book.backward(*point) + book.autograd_gradients(network, x, y)
    for array in found:
        array += 1  # not a view of anything given
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    book.numerical_gradient(L, theta)
    book.complex_step_gradient(L, theta)
    book.gradient_with_error(L, theta)
    assert all((a == b).all() for a, b in zip(given, before))


@pytest.mark.parametrize(
    "name, shape",
    [("b1", (4, 1)), ("b2", (1, 4)), ("b3", (1,)), ("b1", ()), ("x", (3,))]
    + [("y", shape) for shape in ((5,), (2,), (1, 5), (2, 1), (1, 1), ())],
)
def test_shapes_that_would_broadcast_are_refused(book, name, shape):
    parameters, x, y = exact.network(1, (3, 4, 4, 2, 5))
    *_, output = book.forward(parameters, x)
    names = ["W1", "b1", "W2", "b2", "W3", "b3", "x", "y"]
    arrays = dict(zip(names, [*parameters, x, y])) | {name: np.ones(shape)}
    *parameters, x, y = arrays.values()
    with pytest.raises(ValueError, match="shape"):
        book.backward(parameters, x, y)
    with pytest.raises(ValueError, match="shape"):
        book.mean_squared_loss(output, y)
        book.forward(parameters, x)
    if name.startswith("b"):
        with pytest.raises(RuntimeError, match="size mismatch"):
            book.torch_network(parameters)


def test_other_shapes_that_would_broadcast_are_refused(book):
    with pytest.raises(ValueError, match="shape"):
        book.relative_error(np.ones(4), np.ones((4, 1)))
    for theta in np.ones((1, 3)), np.ones((3, 1)), np.array(1.0):
        with pytest.raises(ValueError, match="vector"):
            book.numerical_gradient(lambda t: t.sum(axis=-1), theta)
