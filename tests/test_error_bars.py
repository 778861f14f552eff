"""gradient_with_error against 60 digits, or a derivative in closed form."""

import mpmath
import numpy as np
import pytest

import exact


def draw_network(draw, fit):
    """A network; near a fit, its targets are its outputs and a bit more."""
    sizes = draw.randint(1, 7, size=5)
    scale = 10 ** draw.uniform(-3, 1)
    parameters, x, y = exact.network(draw.randint(2**31), sizes, scale)
    kind = draw.randint(4)
    if fit or kind == 0:
        layers, _, _ = exact.forward_and_backward(parameters, x, y)
        power = draw.uniform(-8, -3) if fit else draw.uniform(-8, -1)
        y = layers[-1].astype(float) + 10**power * y
    elif kind == 1:
        y = y * 10 ** draw.uniform(-5, 5)
    return parameters, x, y


@pytest.fixture(scope="module", params=["all kinds", "near a fit"])
def networks(book, request):
    """(error, bar, derivative) of each entry of many networks."""
    fit = request.param == "near a fit"
    draw = np.random.RandomState(2026 + fit)
    rows = []
    for _ in range(200 if fit else 1000):
        point = draw_network(draw, fit)
        right = book.flatten(exact.forward_and_backward(*point)[2])
        value, bar = book.gradient_with_error(
            book.loss_function(*point), book.flatten(point[0])
        )
        error = exact.distance(value, right)
        rows.append(np.stack([error, bar, np.abs(right.astype(float))]))
    return request.param, rows


def test_networks(networks):
    kind, rows = networks
    error, bar, derivative = np.concatenate(rows, axis=1)
    assert np.isfinite(bar).all()
    # a rounding that is the same at every step is not seen near a fit
    assert np.mean(error > bar) <= 1e-3
    assert np.mean(error > 5 * bar) <= 5e-4
    assert np.median(bar / derivative) <= {"all kinds": 1e-8}.get(kind, 1e-6)
    in_norms = [np.linalg.norm(e) / np.linalg.norm(d) for e, _, d in rows]
    assert np.median(in_norms) <= {"all kinds": 1e-11}.get(kind, 1e-9)


def single(t):
    """t in single precision."""
    return t.astype(np.float32)


mp = mpmath.mp
FUNCTIONS = {  # the function, its derivative, the interval of the points
    "log": (np.log, lambda t: 1 / t, (0.01, 3)),
    "1/t": (lambda t: 1 / t, lambda t: -1 / t**2, (0.01, 3)),
    "sqrt": (np.sqrt, lambda t: 1 / mp.sqrt(t) / 2, (0.001, 3)),
    "fast sine": (
        lambda t: np.sin(60000 * t),
        lambda t: 60000 * mp.cos(60000 * t),
        (-2, 2),
    ),
    "sine of period 1/64": (
        lambda t: np.sin(128 * np.pi * t),
        lambda t: mp.mpf(128 * np.pi) * mp.cos(mp.mpf(128 * np.pi) * t),
        (-2, 2),
    ),
    "slow and fast": (
        lambda t: t + np.sin(1000 * t) / 1000,
        lambda t: 1 + mp.cos(1000 * t),
        (-2, 2),
    ),
    "steep": (
        lambda t: np.tanh(5 * t),
        lambda t: 5 * mp.sech(5 * t) ** 2,
        (-2, 2),
    ),
    "bump": (
        lambda t: np.exp(-20 * t**2),
        lambda t: -40 * t * mp.exp(-20 * t**2),
        (-2, 2),
    ),
    "overflow": (
        lambda t: np.exp(-500 * t),
        lambda t: -500 * mp.exp(-500 * t),
        (-0.1, 0.1),
    ),
    "offset": (
        lambda t: 1e6 + np.sin(t),
        mp.cos,
        (-3, 3),
    ),
    "1000 and a square": (
        lambda t: 1000 + t**2,
        lambda t: 2 * t,
        (-2, 2),
    ),
    "tiny": (lambda t: 1e-30 * t**2, lambda t: 2 * t * mp.mpf(1e-30), (-3, 3)),
    "constant": (lambda t: 0 * t + 3.7, lambda t: mp.mpf(0), (-3, 3)),
    "cancellation": (
        lambda t: (1 + 1e-8 * t) ** 2 - 1,
        lambda t: 2 * (1 + t * mp.mpf(1e-8)) * mp.mpf(1e-8),
        (-2, 2),
    ),
    "Huber": (
        lambda t: np.where(abs(t) < 1, t * t / 2, abs(t) - 0.5),
        lambda t: t if abs(t) < 1 else mp.sign(t),
        (-3, 3),
    ),
    "single precision": (lambda t: np.sin(single(t)), mp.cos, (-3, 3)),
    "single and double": (
        lambda t: np.sin(single(t)) + t**2,
        lambda t: mp.cos(t) + 2 * t,
        (-3, 3),
    ),
    "half precision": (
        lambda t: np.sin(t).astype(np.float16),
        mp.cos,
        (-2, 2),
    ),
    "six decimals": (lambda t: np.round(np.exp(t), 6), mp.exp, (-2, 2)),
    "two decimals": (lambda t: np.round(np.exp(t), 2), mp.exp, (-2, 2)),
    "noise of 1e-6": (
        lambda t: np.sin(t) + 1e-6 * np.sin(1e12 * np.exp(t)),
        mp.cos,
        (-2, 2),
    ),
}
# what these tell is as little as they hold: their median bar is wider
# than 1e-4 of the derivative, or their derivative is 0
BLUNT = {
    "half precision",
    "six decimals",
    "two decimals",
    "noise of 1e-6",
    "constant",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(book, name):
    f, derivative, interval = FUNCTIONS[name]
    draw = np.random.RandomState(list(FUNCTIONS).index(name))
    shares = []
    for t in draw.uniform(*interval, size=60):
        values = book.gradient_with_error(
            lambda rows: f(rows[:, 0]), np.array([t])
        )
        (value,), (bar,) = values
        with mpmath.workdps(exact.DIGITS):
            right = derivative(mpmath.mpf(t))
            error = float(abs(mpmath.mpf(float(value)) - right))
        assert error <= 5 * bar
        if right:
            shares.append(bar / abs(float(right)))
    assert name in BLUNT or np.median(shares) <= 1e-4


@pytest.mark.parametrize("power", range(-7, 1))
def test_kinks(book, power):
    draw = np.random.RandomState(-power)
    for _ in range(40):
        t, side = draw.uniform(-2, 2), draw.choice([-1, 1])
        kink = t + side * draw.uniform(1, 10) * 10.0**power
        size = 10 ** draw.uniform(-2, 1)
        (value,), (bar,) = book.gradient_with_error(
            lambda t, kink=kink, size=size: (
                np.sin(t) + size * np.maximum(t - kink, 0)
            )[:, 0],
            np.array([t]),
        )
        error = abs(value - np.cos(t) - size * (t > kink))
        assert error <= bar + 4 * exact.U * (1 + size)


def test_single_precision_networks(book):
    for seed in range(30):
        parameters, x, y = exact.network(seed, (3, 5, 4, 2, 6))
        arrays = [a.astype(np.float32) for a in (*parameters, x, y)]
        *parameters, x, y = arrays
        L = book.loss_function(parameters, x, y)
        right = book.flatten(exact.forward_and_backward(parameters, x, y)[2])
        theta = book.flatten(parameters).astype(float)
        value, bar = book.gradient_with_error(
            lambda rows, L=L: L(rows.astype(np.float32)), theta
        )
        assert (exact.distance(value, right) <= 5 * bar).all()
        assert np.median(bar / np.abs(value)) <= 1e-2


def test_directions_in_which_nothing_changes(book):
    """The rounding is seen though the entries enter as a sum only."""
    for weights in [1, 1], [1, -1], [2, 1], [1, 2, 1], [1, 1, 1, 1]:
        w = np.array(weights, float)
        for t in np.random.RandomState(7).standard_normal((20, w.size)):
            value, bar = book.gradient_with_error(
                lambda rows, w=w: (1e10 + np.sin(rows @ w)) - 1e10, t
            )
            error = np.abs(value - w * np.cos(t @ w))
            assert (error <= 5 * bar).all()


def test_what_is_not_finite(book):
    def f(t):
        """Defined for a positive first entry only."""
        return np.log(t[:, 0]) + t[:, 1] ** 2

    value, bar = book.gradient_with_error(f, np.array([1e-9, 3.0]))
    # the first entry is too close to where f ends
    assert bar[0] == np.inf
    assert abs(value[1] - 6) <= bar[1] <= 1e-6
    value, bar = book.gradient_with_error(
        lambda t: np.full(len(t), np.nan), np.array([1.0])
    )
    assert bar == [np.inf]
    # values so large that their squares overflow
    value, bar = book.gradient_with_error(
        lambda t: 1e200 * t[:, 0] ** 2, np.array([1.5])
    )
    assert abs(value - 3e200) <= bar <= 1e190


def test_works_for_many_entries(book):
    c = np.random.RandomState(1).standard_normal(200)
    value, bar = book.gradient_with_error(
        lambda t: np.sin(t) @ c, np.linspace(-3, 3, 200)
    )
    assert value.shape == bar.shape == (200,)
    error = np.abs(value - c * np.cos(np.linspace(-3, 3, 200)))
    assert (error <= bar + exact.U).all()
    assert np.median(bar / np.abs(value)) <= 1e-8
