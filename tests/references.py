"""Points, functions and exact results to measure the notebook against."""

import mpmath
import numpy as np

# inputs, both hidden layers, outputs, samples
SIZES = (3, 4, 4, 2, 5)
DIGITS = 60

to_mpf = np.vectorize(
    lambda value: mpmath.mpf(float(value)), otypes=[object]
)
mp_sigmoid = np.vectorize(
    lambda z: 1 / (1 + mpmath.exp(-z)), otypes=[object]
)


def random_point(sizes=SIZES, scale=1.0, seed=0):
    """Six parameters of order scale, inputs and targets of order one."""
    inputs, hidden1, hidden2, outputs, samples = sizes
    # draws the same numbers in every version of NumPy
    draw = np.random.RandomState(seed).standard_normal
    parameters = [
        scale * draw((hidden1, inputs)),
        scale * draw(hidden1),
        scale * draw((hidden2, hidden1)),
        scale * draw(hidden2),
        scale * draw((outputs, hidden2)),
        scale * draw(outputs),
    ]
    return parameters, draw((inputs, samples)), draw((outputs, samples))


def sheet_point():
    """The parameters, inputs and targets of the sheets."""
    state = np.random.RandomState(12345)
    W1, W2, W3 = (
        state.randn(*s) * 0.01 for s in ((4, 3), (4, 4), (2, 4))
    )
    parameters = [W1, np.zeros(4), W2, np.zeros(4), W3, np.zeros(2)]
    return parameters, state.rand(3, 5), state.randn(2, 5)


def single(parameters, x, y):
    """The point in single precision."""
    *parameters, x, y = (
        a.astype(np.float32) for a in (*parameters, x, y)
    )
    return parameters, x, y


def exact_gradient(parameters, x, y):
    """The gradient as a vector of DIGITS digits, by backpropagation."""
    with mpmath.workdps(DIGITS):
        W1, b1, W2, b2, W3, b3 = map(to_mpf, parameters)
        x, y = to_mpf(x), to_mpf(y)
        a1 = mp_sigmoid(W1.dot(x) + b1[:, np.newaxis])
        a2 = mp_sigmoid(W2.dot(a1) + b2[:, np.newaxis])
        delta3 = (W3.dot(a2) + b3[:, np.newaxis] - y) / x.shape[1]
        delta2 = W3.T.dot(delta3) * a2 * (1 - a2)
        delta1 = W2.T.dot(delta2) * a1 * (1 - a1)
        pairs = ((delta1, x), (delta2, a1), (delta3, a2))
        gradients = [
            g for d, a in pairs for g in (d.dot(a.T), d.sum(axis=1))
        ]
        return np.concatenate([g.ravel() for g in gradients])


def exact_derivative(f, theta):
    """Gradient of any f(theta, sigmoid), by a complex step of 60 digits."""
    with mpmath.workdps(2 * DIGITS):
        h = mpmath.mpf(10) ** -DIGITS
        gradient = []
        for k in range(theta.size):
            moved = to_mpf(theta)
            moved[k] = moved[k] + mpmath.mpc(0, h)
            value = f(moved[np.newaxis], mp_sigmoid)[0]
            gradient.append(mpmath.im(value) / h)
        return np.array(gradient)


def distances(found, exact):
    """|found - exact|, rounded once, as an array of floats."""
    with mpmath.workdps(DIGITS):
        gap = np.asarray(abs(to_mpf(found) - exact), dtype=object)
        return gap.astype(float)


def draw_function(kind, draw):
    """A function f(theta, sigmoid) and the number of entries of theta.

    theta may hold doubles, Bounded numbers or mpmath's: f uses only what all
    of them have. draw(*shape) gives the constants in it.
    """
    x, y = draw(3, 5), draw(2, 5)

    def cut(theta, *shapes):
        arrays, start = [], 0
        for shape in shapes:
            stop = start + int(np.prod(shape))
            part = theta[..., start:stop]
            arrays.append(part.reshape(*theta.shape[:-1], *shape))
            start = stop
        return arrays

    def loss(output, weights=1):
        squares = (output - y) ** 2 * weights
        return squares.sum(axis=-1).mean(axis=-1)

    if kind == "tanh and weight decay":

        def f(theta, sigmoid):
            V, b, W = cut(theta, (4, 3), (4,), (2, 4))
            z = V @ x + b[..., np.newaxis]
            output = W @ (2 * sigmoid(2 * z) - 1)
            return loss(output) + (theta**2).sum(axis=-1) / 8

        return f, 24
    if kind == "three hidden layers":

        def f(theta, sigmoid):
            A, B, C, D = cut(theta, (2, 3), (3, 2), (2, 3), (2, 2))
            a = sigmoid(C @ sigmoid(B @ sigmoid(A @ x)))
            return loss(D @ a)

        return f, 22
    if kind == "one layer, weighed samples, float32 inputs":
        x32 = x.astype(np.float32)
        weights = np.abs(draw(5)).astype(np.float32)

        def f(theta, sigmoid):
            W, b = cut(theta, (2, 3), (2,))
            output = sigmoid(W @ x32 + b[..., np.newaxis])
            return loss(output, weights)

        return f, 8
    if kind == "cancellation":
        c = 1 + draw(6) * 2.0**-20

        def f(theta, sigmoid):
            one = (theta * c).sum(axis=-1)
            other = theta.sum(axis=-1)
            return (one - other) ** 2 - sigmoid(-one) * other / 4

        return f, 6
    if kind == "products of parameters":

        def f(theta, sigmoid):
            W, V = cut(theta, (2, 3), (3, 2))
            both = (W @ V) @ (W @ V).swapaxes(-1, -2)
            return (both * 0.5 - theta[..., :1, np.newaxis]).mean(
                axis=(-2, -1)
            )

        return f, 12
    raise ValueError(f"no function of the kind {kind}")


FUNCTIONS = (
    "tanh and weight decay",
    "three hidden layers",
    "one layer, weighed samples, float32 inputs",
    "cancellation",
    "products of parameters",
)
