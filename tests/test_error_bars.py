"""gradient_with_error against derivatives to 60 digits."""

from types import SimpleNamespace

import mpmath
import numpy as np
import pytest

import exact


def draw_network(draw, fit):
    """A network; near a fit, its targets are its outputs and a bit more."""
    sizes = draw.randint(1, 5, size=5)
    scale = 10 ** draw.uniform(-3, 1)
    parameters, x, y = exact.network(draw.randint(2**31), sizes, scale)
    kind = draw.randint(4)
    if fit or kind == 0:
        layers, _, _ = exact.forward_and_backward(parameters, x, y)
        y = layers[-1] + 10 ** draw.uniform(-8, -3 if fit else -1) * y
    elif kind == 1:
        y = y * 10 ** draw.uniform(-5, 5)
    return parameters, x, y


@pytest.mark.parametrize(
    "count, fit, widest", [(800, False, 1e-9), (200, True, 1e-7)]
)
def test_networks(book, count, fit, widest):
    """A rounding that is the same at every step is not seen near a fit."""
    draw = np.random.RandomState(2026 + fit)
    rows = []
    for _ in range(count):
        point = draw_network(draw, fit)
        right = book.flatten(exact.forward_and_backward(*point)[2])
        value, bar = book.gradient_with_error(
            book.loss_function(*point), book.flatten(point[0])
        )
        rows.append([np.abs(value - right), bar, np.abs(right)])
    error, bar, right = np.concatenate(rows, axis=1)
    assert np.isfinite(error).all() and np.isfinite(bar).all()
    # the shares and sizes that the bars are made for
    assert np.mean(error > bar) <= 1e-3
    assert np.mean(error > 5 * bar) <= 5e-4
    assert np.median(bar / right) <= widest


# mpmath with NumPy's names for roundings, which leave a number as it is
MP = SimpleNamespace(
    **vars(mpmath),
    **dict.fromkeys(["single", "half", "round"], lambda v, *_: v),
)
FUNCTIONS = {  # of NumPy or mpmath and t, and the interval of the points
    "log": (lambda m, t: m.log(t), 0.01, 3),
    "1/t": (lambda m, t: 1 / t, 0.01, 3),
    "sqrt": (lambda m, t: m.sqrt(t), 0.001, 3),
    "fast": (lambda m, t: m.sin(60000 * t), -2, 2),
    "period 1/64": (lambda m, t: m.sin(128 * np.pi * t), -2, 2),
    "slow and fast": (lambda m, t: t + m.sin(1000 * t) / 1000, -2, 2),
    "steep": (lambda m, t: m.tanh(5 * t), -2, 2),
    "bump": (lambda m, t: m.exp(-20 * t**2), -2, 2),
    "overflow": (lambda m, t: m.exp(-500 * t), -0.1, 0.1),
    "offset": (lambda m, t: 1e6 + m.sin(t), -3, 3),
    "1000 and a square": (lambda m, t: 1000 + t**2, -2, 2),
    "tiny": (lambda m, t: 1e-30 * t**2, -3, 3),
    "constant": (lambda m, t: 0 * t + 3.7, -3, 3),
    "cancellation": (lambda m, t: (1 + 1e-8 * t) ** 2 - 1, -2, 2),
    "pole nearby": (lambda m, t: 1 / (1 + 25 * t**2), -2, 2),
    "third derivative jumps": (lambda m, t: abs(t) * t**2, -2, 2),
    "single": (lambda m, t: m.sin(m.single(t)), -3, 3),
    "part": (lambda m, t: m.sin(m.single(t)) + t**2, -3, 3),
    "half": (lambda m, t: m.half(m.sin(t)), -2, 2),
    "six decimals": (lambda m, t: m.round(m.exp(t), 6), -2, 2),
    "two decimals": (lambda m, t: m.round(m.exp(t), 2), -2, 2),
}
# what these tell is as little as they hold: their bars may be wide
BLUNT = {"half", "six decimals", "two decimals", "constant"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(book, name):
    f, low, high = FUNCTIONS[name]
    draw = np.random.RandomState(list(FUNCTIONS).index(name))
    shares = []
    for t in draw.uniform(low, high, size=60):
        (value,), (bar,) = book.gradient_with_error(
            lambda rows: f(np, rows[:, 0]), np.array([t])
        )
        with mpmath.workdps(60):
            right = float(mpmath.diff(lambda t: f(MP, t), mpmath.mpf(t)))
        assert abs(value - right) <= 5 * bar
        shares.append(bar / abs(right) if right else np.inf)
    assert name in BLUNT or np.median(shares) <= 1e-4


@pytest.mark.parametrize("power", range(-7, 1))
def test_kinks(book, power):
    draw = np.random.RandomState(-power)
    for _ in range(40):
        t, side = draw.uniform(-2, 2), draw.choice([-1, 1])
        kink = t + side * draw.uniform(1, 10) * 10.0**power
        size = 10 ** draw.uniform(-2, 1)

        def f(rows, kink=kink, size=size):
            t = rows[:, 0]
            return np.sin(t) + size * np.maximum(t - kink, 0)

        (value,), (bar,) = book.gradient_with_error(f, np.array([t]))
        assert abs(value - np.cos(t) - size * (t > kink)) <= bar


def test_rounding_error(book):
    """It is measured where section 7.5 says, and is that of the noise."""
    theta, points = np.linspace(-1, 1, 41), []
    draw = np.random.RandomState(0)

    def f(rows):
        points.append(rows)
        return 10 + 1e-3 * draw.standard_normal(len(rows))

    found = book.rounding_error(f, theta)
    # the largest of fourteen estimates, each from seven differences
    assert (found >= 1e-3).all() and (found <= 2e-3).all()
    rows = [np.array(rows) for rows in points if len(rows) == 13]
    for h, moved in zip(book.STEPS, rows, strict=True):
        moves = (moved - theta) / h
        room = 16 * exact.U / h  # points of up to 3 are rounded, twice
        sizes = np.abs(moves)
        assert 1 - room <= sizes.min()
        assert sizes.max() <= 2 * (1 + 12e-6) + room
        assert (moves[:, 1:] * moves[:, :-1] < 0).all()
        apart = np.diff(moves, axis=0) / moves[0]
        assert np.allclose(apart, 1e-6, rtol=0, atol=room)
    # half the gap between values that are rounded to two decimals
    rounding = book.rounding_error(lambda t: np.round(10 + t[:, 0], 2), theta)
    assert np.allclose(rounding, 0.005)


@pytest.mark.parametrize("factor", [16, 4])
def test_best_value(book, factor):
    """The rule of section 7.5, entry by entry."""
    draw = np.random.RandomState(factor)
    # rounding grows and truncation shrinks, so that each condition decides
    rounding = 2.0 ** np.arange(14) * draw.uniform(1, 2, 14)
    sizes = 2 * rounding + 3000 / 4.0 ** np.arange(14)
    quotients = draw.standard_normal((300, 14)).T * np.c_[sizes]
    values, bars = book.best_value(quotients, rounding, factor)
    for D, value, bar in zip(quotients.T, values, bars):
        combined = (factor * D[1:] - D[:-1]) / (factor - 1)
        rows = list(zip(combined, rounding[1:]))
        found = []
        for i in range(1, 12):
            own, r = rows[i]
            doubts = [abs(v - own) for v in combined[i - 1 : i + 2]]
            doubts += [abs(v - own) - s for v, s in rows[i + 1 :]]
            found.append((max(doubts) + r, own))
        assert np.allclose(min(found), (bar, value), rtol=1e-12)


def test_directions_in_which_nothing_changes(book):
    """The rounding is seen though the entries enter as a sum only."""
    for weights in [1, 1], [1, -1], [2, 1], [1, 2, 1], [1, 1, 1, 1]:
        w = np.array(weights, float)
        for t in np.random.RandomState(7).standard_normal((20, w.size)):
            value, bar = book.gradient_with_error(
                lambda rows, w=w: (1e10 + np.sin(rows @ w)) - 1e10, t
            )
            assert (np.abs(value - w * np.cos(t @ w)) <= 5 * bar).all()


def test_what_is_not_finite(book):
    # log is defined for positive numbers only
    value, bar = book.gradient_with_error(
        lambda t: np.log(t[:, 0]) + t[:, 1] ** 2, np.array([1e-9, 3.0])
    )
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
