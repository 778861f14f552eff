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


@pytest.fixture(params=POINTS)
def point(request):
    """Parameters, inputs and targets."""
    sizes, scale = POINTS[request.param]
    return exact.network(list(POINTS).index(request.param), sizes, scale)


def assert_close(found, right, tolerance):
    """Each entry of the arrays is within its tolerance."""
    assert len(found) == len(right)
    for f, r, t in zip(found, right, tolerance):
        assert f.shape == r.shape
        assert (exact.distance(f, r) <= t).all()


def test_forward_loss_and_backward(book, point):
    parameters, x, y = point
    layers, loss, gradients = exact.forward_and_backward(*point)
    tolerances = exact.tolerances(*point)
    found = book.forward(parameters, x)
    assert_close(found, layers, tolerances[0])
    found_loss = book.mean_squared_loss(found[-1], y)
    assert exact.distance(found_loss, loss) <= tolerances[1]
    assert_close(book.backward(*point), gradients, tolerances[2])


def test_autograd(book, point):
    parameters, x, y = point
    _, _, gradients = exact.forward_and_backward(*point)
    network = book.torch_network(parameters)
    assert isinstance(network, torch.nn.Module)
    tolerance = exact.tolerances(*point)[2]
    for _ in range(2):  # the second gradients are not added to the first
        found = book.autograd_gradients(network, x, y)
        assert all(isinstance(array, np.ndarray) for array in found)
        assert_close(found, gradients, tolerance)


def test_complex_step(book, point):
    _, _, gradients = exact.forward_and_backward(*point)
    L = book.loss_function(*point)
    found = book.complex_step_gradient(L, book.flatten(point[0]))
    # a product of complex numbers is two products and a sum
    tolerance = 3 * book.flatten(exact.tolerances(*point)[2])
    assert_close([found], [book.flatten(gradients)], [tolerance])


@pytest.mark.parametrize("h", [1e-5, 1e-2])
def test_numerical_gradient_is_the_central_quotient(book, point, h):
    theta = book.flatten(point[0])
    found = book.numerical_gradient(book.loss_function(*point), theta, h)
    assert found.shape == theta.shape
    # two losses are rounded, and the quotient of their difference
    tolerance = 2 * exact.tolerances(*point)[1] / (2 * h)
    for k in range(0, theta.size, 1 + theta.size // 8):
        move = h * (np.arange(theta.size) == k)
        with localcontext() as context:
            context.prec = exact.DIGITS
            difference = exact.loss(theta + move, *point) - exact.loss(
                theta - move, *point
            )
            quotient = difference / exact.as_decimals(2 * h).item()
        off = exact.distance(found[k], quotient)
        assert off <= tolerance + 4 * exact.U * abs(found[k])


@pytest.mark.parametrize("P", [1, 63, 64, 65, 130])
def test_more_entries_than_rows_at_a_time(book, P):
    c = np.arange(1.0, P + 1)

    def quadratic(t):
        """Its derivatives are 2 c t; central quotients are exact."""
        return (c * t**2).sum(axis=-1)

    t = np.linspace(-1, 2, P)
    # P terms are summed, each of at most 4 c, and divided by 2h
    tolerance = exact.U * P * 4 * c.sum() / 1e-3
    found = book.numerical_gradient(quadratic, t, 1e-3)
    assert np.abs(found - 2 * c * t).max() <= tolerance
    by_complex_step = book.complex_step_gradient(quadratic, t)
    assert np.allclose(by_complex_step, 2 * c * t, rtol=1e-15, atol=0)


def test_a_stack_of_networks(book):
    first, x, y = exact.network(1, (3, 5, 4, 2, 6))
    second, *_ = exact.network(2, (3, 5, 4, 2, 6))
    stack = [np.stack(pair) for pair in zip(first, second)]
    layers = book.forward(stack, x)
    losses = book.mean_squared_loss(layers[-1], y)
    L = book.loss_function(first, x, y)
    of_rows = L(np.stack([book.flatten(first), book.flatten(second)]))
    for i, parameters in enumerate([first, second]):
        right, loss, _ = exact.forward_and_backward(parameters, x, y)
        tolerances = exact.tolerances(parameters, x, y)
        assert_close([a[i] for a in layers], right, tolerances[0])
        for found in losses[i], of_rows[i], L(book.flatten(parameters)):
            assert exact.distance(found, loss) <= tolerances[1]


def test_sigmoid(book):
    z = np.concatenate([np.linspace(-40, 40, 81), [-1000, -700, 700, 1000]])
    with localcontext() as context:
        context.prec = exact.DIGITS
        right = exact.sigmoid(exact.as_decimals(z))
    # exp is off by a spacing or so, a sum and a quotient are rounded;
    # where exp(-z) overflows, the result is 0
    tolerance = 5 * exact.U * right.astype(float) + 1e-300
    assert (exact.distance(book.sigmoid(z), right) <= tolerance).all()
    slope = book.sigmoid(0.3 + 1e-20j).imag / 1e-20
    a = book.sigmoid(0.3)
    assert abs(slope - a * (1 - a)) < 4 * exact.U


def test_flatten_and_unflatten(book):
    arrays = [np.arange(6.0).reshape(2, 3), np.array(6.0), np.arange(7.0, 9)]
    tensors = [torch.tensor(a, requires_grad=True) for a in arrays]
    shapes = [(2, 3), (), (2,)]
    for given in arrays, tensors:
        vector = book.flatten(given)
        assert (vector == np.arange(9)).all()
    stack = np.stack([vector, vector + 10, vector + 20, vector + 30])
    for i, row in enumerate(stack):
        for cut, of_stack, array in zip(
            book.unflatten(row, shapes),
            book.unflatten(stack, shapes),
            arrays,
        ):
            assert (cut == array + 10 * i).all()
            assert (of_stack[i] == cut).all() and cut.shape == array.shape


def test_relative_error(book):
    a, b = np.array([[3.0, 4.0]]), np.array([[3.0, 5.0]])
    # a few roundings of a number below 1
    for pair in (a, b), (b, a), (7 * a, 7 * b):
        found = book.relative_error(*pair)
        assert abs(found - 34**-0.5) < 4 * exact.U
    assert isinstance(book.relative_error(a, b), float)
    assert book.relative_error(a, a) == book.relative_error(0 * a, 0 * a) == 0
    assert book.relative_error(a, -a) == 2
    assert np.isnan(book.relative_error(a, np.nan * a))


def test_nothing_given_is_changed(book, point):
    parameters, x, y = point
    theta = book.flatten(parameters)
    given = [*parameters, x, y, theta]
    before = [array.copy() for array in given]
    L = book.loss_function(*point)
    book.forward(parameters, x)
    for array in book.backward(*point):
        array += 1  # not a view of anything given
    network = book.torch_network(parameters)
    for array in book.autograd_gradients(network, x, y):
        array += 1
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    book.numerical_gradient(L, theta)
    book.complex_step_gradient(L, theta)
    book.gradient_with_error(L, theta)
    assert all((a == b).all() for a, b in zip(given, before))


SILENT = {
    "bias as a column": {"b1": np.ones((4, 1))},
    "bias as a row": {"b2": np.ones((1, 4))},
    "bias of one entry": {"b3": np.ones(1)},
    "bias as a number": {"b1": np.ones(())},
    "x as a vector": {"x": np.ones(3)},
}
WRONG_TARGETS = [(5,), (2,), (1, 5), (2, 1), (1, 1), ()]


@pytest.mark.parametrize("change", SILENT)
def test_forward_and_backward_refuse_what_would_broadcast(book, change):
    names = ["W1", "b1", "W2", "b2", "W3", "b3", "x", "y"]
    parameters, x, y = exact.network(1, (3, 4, 4, 2, 5))
    arrays = dict(zip(names, [*parameters, x, y])) | SILENT[change]
    *parameters, x, y = arrays.values()
    with pytest.raises(ValueError, match="shape"):
        book.forward(parameters, x)
    with pytest.raises(ValueError, match="shape"):
        book.backward(parameters, x, y)
    if change.startswith("bias"):
        with pytest.raises(RuntimeError, match="size mismatch"):
            book.torch_network(parameters)


@pytest.mark.parametrize("shape", WRONG_TARGETS)
def test_loss_and_backward_refuse_targets_of_another_shape(book, shape):
    parameters, x, _ = exact.network(1, (3, 4, 4, 2, 5))
    *_, output = book.forward(parameters, x)
    with pytest.raises(ValueError, match="shape"):
        book.mean_squared_loss(output, np.ones(shape))
    with pytest.raises(ValueError, match="shape"):
        book.backward(parameters, x, np.ones(shape))


def test_other_shapes_that_would_broadcast_are_refused(book):
    with pytest.raises(ValueError, match="shape"):
        book.relative_error(np.ones(4), np.ones((4, 1)))
    for theta in np.ones((1, 3)), np.ones((3, 1)), np.array(1.0):
        with pytest.raises(ValueError, match="vector"):
            book.numerical_gradient(lambda t: t.sum(axis=-1), theta)
    with pytest.raises(ValueError, match="reshape"):
        book.unflatten(np.ones(7), [(2, 2), (2,)])


def test_losses_of_pytorch(book):
    """Equation (1) for one, two and three outputs."""
    for outputs in 1, 2, 3:
        draw = np.random.RandomState(outputs).standard_normal
        output, y = draw((outputs, 4)), draw((outputs, 4))
        tensors = torch.tensor(output.T), torch.tensor(y.T)
        found = book.torch_loss(*tensors).item()
        # 4 * outputs squares are summed
        tolerance = 8 * outputs * exact.U * found
        assert abs(found - book.mean_squared_loss(output, y)) <= tolerance
