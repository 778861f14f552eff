"""The proven bounds hold everywhere, and are tight enough to be of use."""

import tracemalloc
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import torch
from references import (
    FUNCTIONS,
    SIZES,
    distances,
    draw_function,
    exact_derivative,
    exact_gradient,
    random_point,
    sheet_point,
    single,
    to_mpf,
)

# ------------------------------------------------------- one rule at a time
#
# An operand is a cubic polynomial in tau, so that its derivatives are known.
# Its computed value is the polynomial plus an error, rounded. The truth of an
# operation is then computed from the polynomials by mpmath, and has to lie
# within the bounds that the result carries.

NASTY = [0.0, 1.0, -1.0, 2.0**-30, 0.1, 1e-30, 1e-160, 1e5, 745.0, -745.0]
TAUS = (-1, -0.7, 0, 0.4, 1)


class Operand:
    """A Bounded array, and what it stands for."""

    def __init__(self, notebook, shape, dtype, random):
        scale = random.choice(NASTY, size=shape) * random.uniform(
            0.5, 2, shape
        )
        info = np.finfo(dtype)
        scale = np.clip(scale, -info.max / 1e9, info.max / 1e9)
        changes = [0, 1e-12, 1e-5, 1.0, 30.0]
        self.c = [scale.astype(dtype)] + [
            random.choice(changes) * random.uniform(-1, 1, shape)
            for _ in range(3)
        ]
        own = random.choice([0, 1e-14, 1e-3]) * random.uniform(
            0, 1, shape
        )
        self.own = own
        c1, c2, c3 = (np.abs(c) for c in self.c[1:])
        d1, d2, d3 = c1 + c2 + c3 / 2, c2 + c3, c3
        at_end = np.abs(self.c[0].astype(float)) + d1 + own
        # what is added to the polynomial, and one rounding
        error = own + at_end * float(info.eps) + 2 * float(info.tiny)
        slack = 1 + 1e-14  # of the sums above
        self.bounded = notebook.Bounded(
            self.c[0], error * slack, d1 * slack, d2 * slack, d3 * slack
        )
        self.signs = random.choice([-1, 1], size=shape)

    def exact(self, tau):
        c0, c1, c2, c3 = map(to_mpf, self.c)
        tau = mpmath.mpf(tau)
        return c0 + c1 * tau + c2 * tau**2 / 2 + c3 * tau**3 / 6

    def derivatives(self, tau):
        """The polynomial and its first three derivatives."""
        _, c1, c2, c3 = map(to_mpf, self.c)
        tau = mpmath.mpf(tau)
        first = c1 + c2 * tau + c3 * tau**2 / 2
        return self.exact(tau), first, c2 + c3 * tau, c3

    def computed(self, tau):
        if tau == 0:
            return self.c[0]
        value = self.exact(tau) + to_mpf(self.own) * self.signs
        return value.astype(float).astype(self.c[0].dtype)


def assert_inside(result, computed_at, derivatives_at):
    """Truth and computed results lie within the bounds of result."""
    size = result.magnitude
    for tau in TAUS:
        truth = derivatives_at(tau)
        computed = computed_at(tau)
        assert np.shape(computed) == result.shape
        assert computed.dtype == result.dtype
        fine = np.isfinite(result.error)
        gap = distances(
            np.where(fine, computed, 0), np.where(fine, truth[0], 0)
        )
        assert (gap[fine] <= result.error[fine]).all()
        for order, bound in enumerate(
            (result.d1, result.d2, result.d3), 1
        ):
            found = distances(np.zeros(result.shape), truth[order])
            # the reference itself is rounded once
            assert (found <= bound * (1 + 1e-15)).all()
        largest = np.abs(np.where(fine, computed, 0).astype(float))
        assert (largest <= size).all()
        assert (
            distances(np.zeros(result.shape), truth[0])
            <= size * (1 + 1e-15)
        ).all()


def leibniz(times, a, b):
    """Value and derivatives of a product from those of its factors."""
    return (
        times(a[0], b[0]),
        times(a[1], b[0]) + times(a[0], b[1]),
        times(a[2], b[0]) + 2 * times(a[1], b[1]) + times(a[0], b[2]),
        times(a[3], b[0])
        + 3 * times(a[2], b[1])
        + 3 * times(a[1], b[2])
        + times(a[0], b[3]),
    )


def both(a, b, function):
    return tuple(function(one, other) for one, other in zip(a, b))


def each(a, function):
    return tuple(function(one) for one in a)


def sigmoid_chain(z):
    """Value and derivatives of sigmoid(z) from those of z."""

    def chain(z0, z1, z2, z3):
        # sigma (1 - sigma) without cancellation, for large z too
        e = mpmath.exp(-abs(z0))
        s = 1 / (1 + mpmath.exp(-z0))
        slope = e / (1 + e) ** 2
        bend = slope * (1 - e) / (1 + e) * (-1 if z0 > 0 else 1)
        third = slope * (1 - 6 * slope)
        return (
            s,
            slope * z1,
            slope * z2 + bend * z1**2,
            slope * z3 + 3 * bend * z1 * z2 + third * z1**3,
        )

    return tuple(np.vectorize(chain, otypes=[object] * 4)(*z))


BINARY = {
    "a + b": (lambda a, b: a + b, lambda a, b: both(a, b, np.add)),
    "a - b": (lambda a, b: a - b, lambda a, b: both(a, b, np.subtract)),
    "a * b": (
        lambda a, b: a * b,
        lambda a, b: leibniz(np.multiply, a, b),
    ),
    "a @ b.T": (
        lambda a, b: a @ b.T,
        lambda a, b: leibniz(lambda p, q: p.dot(q.T), a, b),
    ),
}
UNARY = {
    "a ** 2": (lambda a: a**2, lambda a: leibniz(np.multiply, a, a)),
    "-a": (lambda a: -a, lambda a: each(a, np.negative)),
    "a / 3": (lambda a: a / 3, lambda a: each(a, lambda v: v / 3)),
    "a.sum(axis=0)": (
        lambda a: a.sum(axis=0),
        lambda a: each(a, lambda v: v.sum(axis=0)),
    ),
    "a.mean(axis=(0, 1))": (
        lambda a: a.mean(axis=(0, 1)),
        lambda a: each(a, lambda v: np.array(v.sum() / v.size)),
    ),
    "a.mean()": (
        lambda a: a.mean(),
        lambda a: each(a, lambda v: np.array(v.sum() / v.size)),
    ),
    "a[:, 1:, None].T": (
        lambda a: a[:, 1:, None].T,
        lambda a: each(a, lambda v: v[:, 1:, None].T),
    ),
    "a.reshape(3, 2)": (
        lambda a: a.reshape(3, 2),
        lambda a: each(a, lambda v: v.reshape(3, 2)),
    ),
    "a.swapaxes(0, 1)": (
        lambda a: a.swapaxes(0, 1),
        lambda a: each(a, lambda v: v.swapaxes(0, 1)),
    ),
}
PRECISIONS = [("f8", "f8"), ("f4", "f4"), ("f4", "f8"), ("f8", "f4")]


@pytest.mark.parametrize("precisions", PRECISIONS, ids="-".join)
@pytest.mark.parametrize("operation", BINARY)
def test_a_rule_of_two_operands(definitions, operation, precisions):
    compute, truth = BINARY[operation]
    for seed in range(8):
        random = np.random.RandomState(seed)
        a, b = (
            Operand(definitions, (2, 3), np.dtype(p).type, random)
            for p in precisions
        )
        with mpmath.workdps(400), np.errstate(all="ignore"):
            assert_inside(
                compute(a.bounded, b.bounded),
                lambda tau, a=a, b=b: compute(
                    a.computed(tau), b.computed(tau)
                ),
                lambda tau, a=a, b=b: truth(
                    a.derivatives(tau), b.derivatives(tau)
                ),
            )


@pytest.mark.parametrize("precisions", PRECISIONS, ids="-".join)
@pytest.mark.parametrize("operation", BINARY)
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_rule_with_a_plain_array(
    definitions, operation, precisions, side
):
    compute, truth = BINARY[operation]
    for seed in range(4):
        random = np.random.RandomState(seed)
        a = Operand(
            definitions, (2, 3), np.dtype(precisions[0]).type, random
        )
        plain = random.choice(NASTY, (2, 3)).astype(precisions[1])
        constant = (to_mpf(plain), *[to_mpf(np.zeros((2, 3)))] * 3)

        def pair(one, plain=plain):
            return (plain, one) if side == "left" else (one, plain)

        with mpmath.workdps(400), np.errstate(all="ignore"):
            assert_inside(
                compute(*pair(a.bounded)),
                lambda tau, a=a, pair=pair: np.asarray(
                    compute(*pair(a.computed(tau)))
                ),
                lambda tau, a=a, pair=pair, constant=constant: truth(
                    *pair(a.derivatives(tau), constant)
                ),
            )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("operation", [*UNARY, "sigmoid"])
def test_a_rule_of_one_operand(definitions, operation, dtype):
    if operation == "sigmoid":
        compute, truth = definitions.sigmoid, sigmoid_chain
    else:
        compute, truth = UNARY[operation]
    for seed in range(15):
        a = Operand(
            definitions, (2, 3), dtype, np.random.RandomState(seed)
        )
        with mpmath.workdps(700), np.errstate(all="ignore"):
            assert_inside(
                compute(a.bounded),
                lambda tau, a=a: np.asarray(compute(a.computed(tau))),
                lambda tau, a=a: truth(a.derivatives(tau)),
            )


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_random_compositions(definitions, dtype):
    draw = np.random.RandomState(11)
    for _ in range(20):
        operands = [
            Operand(definitions, (2, 3), dtype, draw) for _ in range(2)
        ]
        steps = [
            (list(BINARY)[draw.randint(3)], draw.randint(2))
            if draw.rand() < 0.6
            else ("sigmoid", None)
            for _ in range(4)
        ]

        def compute(numbers, steps=steps):
            result = numbers[0]
            for step, which in steps:
                if step == "sigmoid":
                    result = definitions.sigmoid(result)
                else:
                    result = BINARY[step][0](result, numbers[which])
            return result

        def truth(numbers, steps=steps):
            result = numbers[0]
            for step, which in steps:
                if step == "sigmoid":
                    result = sigmoid_chain(result)
                else:
                    result = BINARY[step][1](result, numbers[which])
            return result

        with mpmath.workdps(700), np.errstate(all="ignore"):
            assert_inside(
                compute([o.bounded for o in operands]),
                lambda tau, o=operands: compute(
                    [p.computed(tau) for p in o]
                ),
                lambda tau, o=operands: truth(
                    [p.derivatives(tau) for p in o]
                ),
            )


def test_a_rule_is_no_wider_than_it_has_to_be(definitions):
    """To first order, each rule is its formula; u of double precision."""
    u = 2.0**-53
    a = definitions.Bounded(3.0, 5e-10, 1e-5, 2e-10, 3e-15)
    b = definitions.Bounded(-0.5, 7e-10, 4e-5, 5e-10, 6e-15)
    slope = definitions.sigmoid(3.0) * (1 - definitions.sigmoid(3.0))
    bend, third = min(slope, 6**-1 * 3**-0.5), min(slope, 1 / 8)
    cases = {
        "sum": (a + b, 12e-10, 5e-5, 7e-10, 9e-15),
        "difference": (a - b, 12e-10, 5e-5, 7e-10, 9e-15),
        "product": (
            a * b,
            3 * 7e-10 + 0.5 * 5e-10,
            3 * 4e-5 + 0.5 * 1e-5,
            3 * 5e-10 + 2 * 1e-5 * 4e-5 + 0.5 * 2e-10,
            3 * 6e-15 + 3 * (1e-5 * 5e-10 + 2e-10 * 4e-5) + 0.5 * 3e-15,
        ),
        "quotient": (a / 4, 5e-10 / 4, 1e-5 / 4, 2e-10 / 4, 3e-15 / 4),
        "sigmoid": (
            definitions.sigmoid(a),
            slope * 5e-10,
            slope * 1e-5,
            slope * 2e-10 + bend * 1e-10,
            slope * 3e-15 + 3 * bend * 1e-5 * 2e-10 + third * 1e-15,
        ),
    }
    for name, (result, error, d1, d2, d3) in cases.items():
        expected = np.array([error, d1, d2, d3])
        found = np.array([result.error, result.d1, result.d2, result.d3])
        assert (found >= expected * (1 - 1e-12)).all(), name
        # the operands move by 4e-5 of themselves, and more for b
        assert (found <= expected * (1 + 3e-4)).all(), name
    exact = definitions.Bounded(np.full((4, 5), 0.3))
    for result, roundings in (
        (exact + exact, 0.6),
        (exact * exact, 0.09),
        (exact / 3, 0.1),
        (exact @ exact.T, 5 * 5 * 0.09),
        (exact.sum(axis=0), 3 * 4 * 0.3),
        (exact.sum(), 19 * 20 * 0.3),
        (exact.mean(axis=0), (3 + 1) * 0.3),
    ):
        assert (result.error >= roundings * u).all()
        assert (result.error <= roundings * u * (1 + 1e-12)).all()
    own = definitions.sigmoid(definitions.Bounded(0.0)).error
    assert own == pytest.approx((8 / 4 + 3 / 2) * u, rel=1e-12)


def test_what_has_no_rule_is_a_type_error(definitions):
    b = definitions.Bounded(np.array([[1.0, 2.0], [3.0, 4.0]]))
    plain = np.array([[1.0, 2.0], [3.0, 4.0]])
    cases = {
        "exp": lambda: np.exp(b),
        "tanh": lambda: np.tanh(b),
        "maximum": lambda: np.maximum(b, 0),
        "where": lambda: np.where(plain > 0, b, 0),
        "concatenate": lambda: np.concatenate([b, b]),
        "einsum": lambda: np.einsum("ij->i", b),
        "power": lambda: np.power(b, 2),
        r"\*\* 3": lambda: b**3,
        r"/ by Bounded": lambda: b / b,
        "by Bounded": lambda: 1 / b,
        "plain array": lambda: np.asarray(b),
        "plain number": lambda: float(b[0, 0]),
        "condition": lambda: bool(b),
        "comparison": lambda: b == plain,
        "greater": lambda: b < plain,
        "abs": lambda: abs(b),
        "complex": lambda: b * 1j,
        r"\+=": lambda: b.__iadd__(1),
        "add": lambda: plain.__iadd__(b),
        "matrix": lambda: b * plain.view(np.matrix),
    }
    for name, call in cases.items():
        with pytest.raises(TypeError, match=name):
            call()
    with pytest.raises(TypeError):
        b[0, 0] = 1.0
    with pytest.raises(TypeError):
        np.add(b, 1, out=plain)


def test_numpys_functions_find_the_rules(definitions):
    b = definitions.Bounded(np.arange(6.0).reshape(2, 3), 1e-3)
    plain = np.arange(6.0).reshape(2, 3) + 1
    pairs = [
        (np.add(plain, b), plain + b),
        (np.subtract(plain, b), plain - b),
        (np.multiply(b, plain), b * plain),
        (np.matmul(plain, b.T), plain @ b.T),
        (np.true_divide(b, plain), b / plain),
        (np.sum(b, axis=1), b.sum(axis=1)),
        (np.mean(b), b.mean()),
        (np.transpose(b), b.T),
        (np.swapaxes(b, 0, 1), b.swapaxes(0, 1)),
        (np.reshape(b, (3, 2)), b.reshape((3, 2))),
        (np.negative(b), -b),
        (np.float64(2) * b, 2 * b),
    ]
    for one, other in pairs:
        for field in ("value", "error", "d1", "d2", "d3"):
            found, expected = getattr(one, field), getattr(other, field)
            np.testing.assert_array_equal(found, expected)
    rows = list(b)
    assert [row.shape for row in rows] == [(3,), (3,)]
    assert (b.shape, b.ndim, b.size, b.dtype) == ((2, 3), 2, 6, float)


def test_bounded_takes_bounds_and_refuses_what_is_none(definitions):
    b = definitions.Bounded([1, 2], 0.5, 1, 2, 3)
    assert b.value.dtype == float
    for field, value in zip(("error", "d1", "d2", "d3"), (0.5, 1, 2, 3)):
        assert getattr(b, field).tolist() == [value, value]
    assert definitions.Bounded(np.inf).error == np.inf
    # no bound can underflow to 0 later
    tiny = definitions.Bounded(1.0, 1e-320, 1e-320, 1e-320, 1e-320)
    assert min(tiny.error, tiny.d1, tiny.d2, tiny.d3) == definitions.FLOOR
    cube = tiny * tiny * tiny
    assert min(cube.error, cube.d1, cube.d2, cube.d3) > 0
    for wrong in (-1e-9, np.array([0.0, -1.0]), np.zeros(3)):
        with pytest.raises(ValueError, match="expected"):
            definitions.Bounded([1.0, 2.0], wrong)
    for wrong in (1j, np.float16(1), "1", None):
        with pytest.raises(ValueError, match="expected"):
            definitions.Bounded(wrong)


# -------------------------------------------------------- numerical gradients


def steps_for(dtype, draw, count=3):
    low = -7 if dtype == np.float32 else -12
    return 10 ** draw.uniform(low, 1, count)


def assert_bounded(definitions, f, theta, exact, h):
    with np.errstate(over="ignore", invalid="ignore"):
        found = definitions.numerical_gradient(f, theta, h)
    bounds = definitions.error_bounds(f, theta, h)
    assert bounds.shape == theta.shape and bounds.dtype == float
    fine = np.isfinite(bounds)
    assert (distances(found, exact)[fine] <= bounds[fine]).all()
    return fine


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", FUNCTIONS)
def test_no_error_of_any_function_is_outside(definitions, kind, dtype):
    draw = np.random.RandomState(5)
    for _ in range(8):
        f, size = draw_function(
            kind, lambda *s: draw.standard_normal(s).astype(dtype)
        )
        theta = draw.standard_normal(size) * 10 ** draw.uniform(-2, 1)
        theta = theta.astype(dtype)
        exact = exact_derivative(f, theta)
        steps = [*steps_for(dtype, draw), abs(theta[0]), 2.0**-10]
        for h in steps:
            fine = assert_bounded(
                definitions,
                lambda rows, f=f: f(rows, definitions.sigmoid),
                theta,
                exact,
                h,
            )
            assert fine.all()


# the last one has more parameters than move at a time
SHAPES = [SIZES, (1, 1, 1, 1, 1), (5, 2, 3, 1, 7), (4, 7, 5, 3, 2)]


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_error_of_the_network_is_outside(definitions, sizes, dtype):
    draw = np.random.RandomState(sum(sizes))
    for seed in range(10):
        scale, residual = (
            10 ** draw.uniform(-2, 1),
            10 ** draw.uniform(-8, 0),
        )
        parameters, x, noise = random_point(sizes, scale, seed)
        if seed % 5 == 0:
            residual = 0  # the network fits its targets, up to roundings
        if seed % 5 == 1:
            x = x * draw.choice([1e-10, 1e6])
        if seed % 5 == 2:
            parameters = [
                np.asfortranarray(2.0 ** np.rint(p)) for p in parameters
            ]
        output = definitions.forward(parameters, x)[-1]
        point = parameters, x, output + residual * noise
        if dtype == np.float32:
            point = single(*point)
        exact = exact_gradient(*point)
        f = definitions.loss_function(*point)
        theta = definitions.flatten(point[0])
        backprop = definitions.backward(*point)
        rounding = definitions.backward_rounding(*point)
        own = distances(definitions.flatten(backprop), exact)
        assert (own <= rounding).all()
        network = definitions.torch_network(point[0])
        autograd = definitions.autograd_gradients(network, *point[1:])
        granted = definitions.autograd_rounding(*point)
        gap = distances(definitions.flatten(autograd), exact)
        assert (gap <= granted).all()
        for h in steps_for(dtype, draw, 2):
            assert_bounded(definitions, f, theta, exact, h)
            for found, allowed in (
                (backprop, rounding),
                (autograd, granted),
            ):
                outside = definitions.outside_bounds(
                    found, f, theta, h, allowed
                )
                assert outside.dtype == bool and not outside.any()


def test_five_hundred_samples(definitions):
    point = random_point((3, 2, 2, 2, 500), 1.0)
    theta = definitions.flatten(point[0])
    f = definitions.loss_function(*point)
    exact = exact_gradient(*point)
    assert assert_bounded(definitions, f, theta, exact, 1e-5).all()


def test_precisions_can_be_mixed(definitions):
    """W1 and x single, the rest double: one product runs in single."""
    parameters, x, y = random_point()
    W1, *others = parameters
    x32 = x.astype(np.float32)

    def first_layer(theta, sigmoid):  # moves W1, in single precision
        _, b1, W2, b2, W3, b3 = [None, *others]
        W = theta.reshape(*theta.shape[:-1], 4, 3)
        a1 = sigmoid(W @ x32 + b1[:, np.newaxis])
        a2 = sigmoid(W2 @ a1 + b2[:, np.newaxis])
        squares = (W3 @ a2 + b3[:, np.newaxis] - y) ** 2
        return squares.sum(axis=-1).sum(axis=-1)

    theta = W1.ravel().astype(np.float32)
    exact = exact_derivative(first_layer, theta)
    for h in (1e-4, 1e-2, 0.1):
        assert assert_bounded(
            definitions,
            lambda rows: first_layer(rows, definitions.sigmoid),
            theta,
            exact,
            h,
        ).all()
    mixed = [W1.astype(np.float32), *others]
    gap = distances(
        definitions.flatten(definitions.backward(mixed, x32, y)),
        exact_gradient(mixed, x32, y),
    )
    assert (gap <= definitions.backward_rounding(mixed, x32, y)).all()
    # a float32 x beside doubles is exact: the bound stays that of doubles
    f = definitions.loss_function(parameters, x32, y)
    g = definitions.loss_function(parameters, x32.astype(float), y)
    vector = definitions.flatten(parameters)
    np.testing.assert_array_equal(
        definitions.error_bounds(f, vector),
        definitions.error_bounds(g, vector),
    )


@pytest.mark.parametrize("power", [-73, -60, -140, -149])
def test_underflow_is_counted(definitions, power):
    parameters, _, _ = random_point((1, 1, 1, 1, 1), 1.0)
    parameters[4] = np.array([[2.0**power]])
    parameters[5] = np.zeros(1)
    point = single(parameters, np.array([[0.5]]), np.zeros((1, 1)))
    exact = exact_gradient(*point)
    f = definitions.loss_function(*point)
    theta = definitions.flatten(point[0])
    assert assert_bounded(definitions, f, theta, exact, 1e-5).all()
    found = definitions.flatten(definitions.backward(*point))
    rounding = definitions.backward_rounding(*point)
    assert (distances(found, exact) <= rounding).all()
    outside = definitions.outside_bounds(found, f, theta, 1e-5, rounding)
    assert not outside.any()


def test_a_tiny_step_or_slope_gives_no_false_zero(definitions):
    for h, c in ((1e-300, 1e-30), (1e-250, 1e-100), (5e-324, 0.1)):

        def f(t, c=c):
            return (t * c).sum(axis=-1)

        theta = np.array([0.0])
        found = definitions.numerical_gradient(f, theta, h)
        assert (
            abs(found[0] - c) <= definitions.error_bounds(f, theta, h)[0]
        )


def test_a_parameter_without_effect_has_the_bound_zero(definitions):
    def f(t):
        return t[..., 0] ** 2

    theta = np.array([3.0, 5.0])
    assert definitions.error_bounds(f, theta)[1] == 0
    assert definitions.error_bounds(f, theta)[0] > 0
    constant = definitions.error_bounds(
        lambda t: np.ones(t.shape[0]), theta
    )
    assert constant.tolist() == [0, 0]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_overflow_makes_it_infinite_and_rejects_nothing(
    definitions, dtype
):
    parameters, x, y = random_point()
    info = np.finfo(dtype)
    root = float(info.max) ** 0.5
    points = {
        "the loss": (parameters, x, y * root * 4, 1e-5),
        "the first product": (
            [parameters[0] * 0 + float(info.max) / 2, *parameters[1:]],
            x * 0 + 4,
            y,
            1e-5,
        ),
        "the moved parameter": (
            [parameters[0] * 0 + float(info.max) * 0.9, *parameters[1:]],
            x * 0,
            y,
            float(info.max) / 4,
        ),
    }
    for *point, h in points.values():
        *arrays, x1, y1 = (
            a.astype(dtype) for a in (*point[0], *point[1:])
        )
        f = definitions.loss_function(arrays, x1, y1)
        theta = definitions.flatten(arrays)
        bounds = definitions.error_bounds(f, theta, h)
        assert np.isinf(bounds[0])
        with np.errstate(all="ignore"):
            numerical = definitions.numerical_gradient(f, theta, h)
            found = definitions.flatten(
                definitions.backward(arrays, x1, y1)
            )
        assert np.isinf(bounds[~np.isfinite(numerical)]).all()
        fine = np.where(np.isfinite(found), found, 0)
        outside = definitions.outside_bounds(fine, f, theta, h, np.inf)
        assert not outside.any()


def test_it_takes_bounded_memory(definitions):
    parameters, x, y = random_point((20, 120, 120, 5, 8), 0.1)
    f = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    rows = iter(definitions.unit_vectors(theta, at_once=16))
    tracemalloc.start()
    # a first stack is as large as any other: the whole takes many seconds
    e = next(rows)
    moving = definitions.Bounded(theta + 0 * e, 1e-17 * e, 1e-5 * e)
    f(moving)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6


def norm_ratio(definitions, point):
    """Norm of the bound over that of the error, at the customary step."""
    f = definitions.loss_function(*point)
    theta = definitions.flatten(point[0])
    error = distances(
        definitions.numerical_gradient(f, theta), exact_gradient(*point)
    )
    bounds = definitions.error_bounds(f, theta)
    return np.linalg.norm(bounds) / np.linalg.norm(error)


@pytest.mark.parametrize(
    "scale, limit", [("sheet", 30), (1.0, 150), (3.0, 150), (10.0, 150)]
)
def test_it_is_tight(definitions, scale, limit):
    # the medians are 14 and 50 to 65: all roundings with the worst sign. The
    # limits leave a factor of two for another order of summation.
    if scale == "sheet":
        ratios = [norm_ratio(definitions, sheet_point())]
    else:
        points = [
            random_point(scale=scale, seed=seed) for seed in range(12)
        ]
        ratios = [norm_ratio(definitions, point) for point in points]
    assert np.median(ratios) <= limit


@pytest.mark.parametrize(
    "scale, limit", [(1.0, 120), (3.0, 120), (10.0, 120)]
)
def test_the_rounding_of_backprop_is_tight(definitions, scale, limit):
    # the medians are 25 to 50
    ratios = []
    for seed in range(12):
        point = random_point(scale=scale, seed=seed)
        found = definitions.flatten(definitions.backward(*point))
        error = distances(found, exact_gradient(*point))
        rounding = definitions.backward_rounding(*point)
        ratios.append(np.linalg.norm(rounding) / np.linalg.norm(error))
    assert np.median(ratios) <= limit


# ---------------------------------------------------------------- the judge


def test_just_outside_is_outside_and_just_inside_is_not(definitions):
    parameters, x, y = random_point()
    f = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    numerical = definitions.numerical_gradient(f, theta, 1e-4)
    bounds = definitions.error_bounds(f, theta, 1e-4)
    rounding = np.linspace(1, 2, theta.size) * 1e-9
    for sign in (-1, 1):
        for factor, expected in ((1.01, True), (0.99, False)):
            found = numerical + sign * factor * (bounds + rounding)
            outside = definitions.outside_bounds(
                found, f, theta, 1e-4, rounding
            )
            assert (outside == expected).all()
            found = numerical + sign * factor * bounds
            outside = definitions.outside_bounds(found, f, theta, 1e-4)
            assert (outside == expected).all()


def test_what_is_not_finite_is_outside(definitions):
    parameters, x, y = random_point()
    f = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    found = definitions.flatten(definitions.backward(parameters, x, y))
    rounding = definitions.backward_rounding(parameters, x, y)
    for value in (np.nan, np.inf, -np.inf):
        spoiled = found.copy()
        spoiled[[4, 40]] = value
        outside = definitions.outside_bounds(
            spoiled, f, theta, 1e-4, rounding
        )
        assert np.flatnonzero(outside).tolist() == [4, 40]
        outside = definitions.outside_bounds(
            spoiled, f, theta, 1e-4, np.inf
        )
        assert np.flatnonzero(outside).tolist() == [4, 40]


def test_it_takes_gradients_of_pytorch(definitions):
    parameters, x, y = random_point()
    f = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    granted = definitions.autograd_rounding(parameters, x, y)
    network = definitions.torch_network(parameters)
    definitions.autograd_gradients(network, x, y)
    grads = [param.grad for param in network.parameters()]
    outside = definitions.outside_bounds(grads, f, theta, 1e-4, granted)
    assert not outside.any()
    # a float32 model is right to single precision only, and must be rejected
    half = definitions.torch_network(single(parameters, x, y)[0])
    definitions.autograd_gradients(half, x, y)
    grads32 = [param.grad for param in half.parameters()]
    assert grads32[0].dtype == torch.float32
    outside = definitions.outside_bounds(grads32, f, theta, 1e-4, granted)
    assert outside.mean() > 0.8
    text = definitions.outside_bounds.__doc__
    assert "float32" in text and ".double()" in text
    grads[2] = None
    with pytest.raises(ValueError, match="NoneType"):
        definitions.outside_bounds(grads, f, theta)


def test_every_fault_is_found_and_only_where_it_is(appendix):
    names = appendix.names
    exact = exact_gradient(*sheet_point())
    right = names.flatten(names.backward(*sheet_point()))
    rounding = names.backward_rounding(*sheet_point())
    assert (
        list(names.faulty) == list(names.FAULTS)
        and len(names.faulty) == 10
    )
    for fault, function in names.faulty.items():
        found = names.flatten(function(*sheet_point()))
        wrong = distances(found, exact) > rounding
        assert wrong.any() and (found[~wrong] == right[~wrong]).all(), (
            fault
        )
        spoiled = [
            name
            for name, part in zip(
                names.NAMES, names.unflatten(wrong * 1.0, names.shapes)
            )
            if part.any()
        ]
        assert spoiled == names.spoiled_gradients[fault]
        outside = names.outside_bounds(
            found, names.L, names.theta, 1e-3, rounding
        )
        assert not outside[~wrong].any()
        parts = names.unflatten(outside * 1.0, names.shapes)
        caught = [n for n, part in zip(names.NAMES, parts) if part.any()]
        assert caught == spoiled
        for seed in range(3):
            point = random_point(seed=seed)
            outside = names.outside_bounds(
                function(*point),
                names.loss_function(*point),
                names.flatten(point[0]),
                1e-5,
                names.backward_rounding(*point),
            )
            assert outside.any(), fault


def test_a_replacement_that_changes_nothing_fails_loudly(appendix):
    with pytest.raises(ValueError, match="expected 'no such line' once"):
        appendix.names.plant("no such line", "another")


def test_the_sigmoids_derivatives_are_no_larger_than_anywhere(
    definitions,
):
    """At 0, where the local slopes alone would give 1/4 for each of them."""
    moving = definitions.Bounded(np.zeros(1), d1=np.full(1, 0.1))
    result = definitions.sigmoid(moving)
    largest = [0.1 / 4, 0.1**2 / (6 * np.sqrt(3)), 0.1**3 / 8]
    found = [result.d1, result.d2, result.d3]
    # the bounds' own arithmetic is paid for, with some 1e-14 of them
    np.testing.assert_allclose(np.ravel(found), largest, rtol=1e-12)


def test_a_sum_that_is_0_here_is_rounded_where_it_moves_to(definitions):
    c = 1 + 2.0**-52
    moving = definitions.Bounded(np.full(1, c), d1=np.full(1, 7.0))
    result = moving - c
    assert result.value == 0
    # 8 is one of the numbers that it moves through
    rounding = abs(Fraction(8.0 - c) - (Fraction(8) - Fraction(c)))
    assert rounding == Fraction(1, 2**52)
    assert float(result.error[0]) >= rounding
