"""The functions of sections 1 to 5, at points that nobody chose."""

import numpy as np
import pytest

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


def assert_close(found, right, tolerances):
    """Arrays have one shape and differ by at most their tolerances."""
    for f, r, tolerance in zip(found, right, tolerances, strict=True):
        assert np.shape(f) == np.shape(r)
        assert (np.abs(f - r) <= tolerance).all()


def test_layers_loss_and_gradients(book, point):
    parameters, x, y = point
    right = exact.forward_and_backward(*point)
    of_layers, of_loss, of_gradients = exact.tolerances(*point)
    layers = book.forward(parameters, x)
    assert_close(layers, right[0], of_layers)
    L, theta = book.loss_function(*point), book.flatten(parameters)
    losses = [book.mean_squared_loss(layers[-1], y), L(theta)]
    assert_close(losses, [right[1]] * 2, [of_loss] * 2)
    assert_close(book.backward(*point), right[2], of_gradients)
    network = book.torch_network(parameters)
    for _ in range(2):  # the second gradients are not added to the first
        found = book.autograd_gradients(network, x, y)
        assert_close(found, right[2], of_gradients)
    shapes = [parameter.shape for parameter in parameters]
    found = book.unflatten(book.complex_step_gradient(L, theta), shapes)
    # a product of complex numbers is two products and a sum
    assert_close(found, right[2], [3 * t for t in of_gradients])


@pytest.mark.parametrize("h", [1e-5, 1e-2])
def test_numerical_gradient_is_the_central_quotient(book, point, h):
    theta = book.flatten(point[0])
    found = book.numerical_gradient(book.loss_function(*point), theta, h)
    assert found.shape == theta.shape
    # two losses are rounded, and again in this test
    tolerance = 4 * exact.tolerances(*point)[1] / (2 * h)
    for k in range(0, theta.size, 1 + theta.size // 4):
        move = h * np.eye(theta.size)[k]
        plus, minus = (exact.loss(theta + m, *point) for m in (move, -move))
        assert abs(found[k] - (plus - minus) / (2 * h)) <= tolerance


@pytest.mark.parametrize("P", [1, 63, 64, 65, 130])
def test_central_quotients(book, P):
    """Those of c t^3 are c (3 t^2 + h^2), here without any rounding."""
    c, t, h = np.arange(1.0, P + 1), np.arange(P) / 8, 2.0**-6
    found = book.numerical_gradient(lambda t: (c * t * t * t).sum(-1), t, h)
    assert (found == c * (3 * t * t + h * h)).all()


def test_a_stack_of_networks(book):
    sizes = (3, 5, 4, 2, 6)
    networks = [exact.network(seed, sizes)[0] for seed in (1, 2)]
    _, x, y = exact.network(3, sizes)
    layers = book.forward([np.stack(pair) for pair in zip(*networks)], x)
    rows = np.stack([book.flatten(network) for network in networks])
    losses = book.mean_squared_loss(layers[-1], y)
    of_rows = book.loss_function(networks[0], x, y)(rows)
    for i, network in enumerate(networks):
        right, loss, _ = exact.forward_and_backward(network, x, y)
        tolerances = exact.tolerances(network, x, y)
        assert_close([a[i] for a in layers], right, tolerances[0])
        pair = losses[i], of_rows[i]
        assert_close(pair, [loss] * 2, [tolerances[1]] * 2)


def test_relative_error(book):
    a, b = np.array([[3.0, 4.0]]), np.array([[3.0, 5.0]])
    for pair in (a, b), (b, a), (7 * a, 7 * b):
        assert book.relative_error(*pair) == pytest.approx(34**-0.5, 1e-15)
    assert book.relative_error(0 * a, 0 * a) == 0
    assert np.isnan(book.relative_error(a, np.nan * a))


def test_nothing_given_is_changed(book, point):
    parameters, x, y = point
    theta = book.flatten(parameters)
    given = [*parameters, x, y, theta]
    before = [array.copy() for array in given]
    L, network = book.loss_function(*point), book.torch_network(parameters)
    book.numerical_gradient(L, theta)
    book.complex_step_gradient(L, theta)
    book.gradient_with_error(L, theta)
    found = book.forward(parameters, x)
    found += *book.backward(*point), *book.autograd_gradients(network, x, y)
    for array in *found, *(p.data for p in network.parameters()):
        array += 1  # not a view of anything given
    for array, copy in zip(given, before):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    "name, shape",
    [("b1", (4, 1)), ("b2", (1, 4)), ("b3", (1,)), ("b1", ()), ("x", (3,))]
    + [("y", shape) for shape in ((5,), (2,), (1, 5), (2, 1), (1, 1), ())],
)
def test_shapes_that_would_broadcast_are_refused(book, name, shape):
    parameters, x, y = exact.network(1, (3, 4, 4, 2, 5))
    names = ["W1", "b1", "W2", "b2", "W3", "b3", "x", "y"]
    arrays = dict(zip(names, [*parameters, x, y])) | {name: np.ones(shape)}
    *parameters, x, y = arrays.values()
    with pytest.raises(ValueError, match="shape"):
        book.backward(parameters, x, y)
    with pytest.raises(ValueError, match="shape"):
        book.mean_squared_loss(book.forward(parameters, x)[-1], y)
    if name.startswith("b"):
        with pytest.raises(RuntimeError, match="size mismatch"):
            book.torch_network(parameters)


def test_other_shapes_that_would_broadcast_are_refused(book):
    with pytest.raises(ValueError, match="shape"):
        book.relative_error(np.ones(4), np.ones((4, 1)))
    for theta in np.ones((1, 3)), np.ones((3, 1)), np.array(1.0):
        with pytest.raises(ValueError, match="vector"):
            book.numerical_gradient(lambda t: t.sum(axis=-1), theta)
