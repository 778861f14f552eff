"""Points, and exact gradients to measure the notebook's results against."""

from itertools import pairwise

import mpmath
import numpy as np

# inputs, both hidden layers, outputs, samples
SIZES = (3, 4, 4, 2, 5)

to_mpf = np.vectorize(lambda value: mpmath.mpf(float(value)), otypes=[object])
mp_sigmoid = np.vectorize(lambda z: 1 / (1 + mpmath.exp(-z)), otypes=[object])


def random_point(sizes, scale, seed=0):
    """Six parameters of order scale, inputs and targets of order one."""
    *widths, samples = sizes
    # draws the same numbers in every version of NumPy
    draw = np.random.RandomState(seed).standard_normal
    parameters = []
    for columns, rows in pairwise(widths):
        parameters += [scale * draw((rows, columns)), scale * draw(rows)]
    return parameters, draw((widths[0], samples)), draw((widths[-1], samples))


def single(parameters, x, y):
    """The point in single precision."""
    *parameters, x, y = (a.astype(np.float32) for a in (*parameters, x, y))
    return parameters, x, y


def exact_gradients(parameters, x, y):
    """Six object arrays of 100 digits, by backpropagation, which is fast."""
    with mpmath.workdps(100):
        x, y = to_mpf(x), to_mpf(y)
        W1, b1, W2, b2, W3, b3 = map(to_mpf, parameters)
        a1 = mp_sigmoid(W1.dot(x) + b1[:, np.newaxis])
        a2 = mp_sigmoid(W2.dot(a1) + b2[:, np.newaxis])
        delta3 = (W3.dot(a2) + b3[:, np.newaxis] - y) / x.shape[1]
        delta2 = W3.T.dot(delta3) * a2 * (1 - a2)
        delta1 = W2.T.dot(delta2) * a1 * (1 - a1)
        pairs = ((delta1, x), (delta2, a1), (delta3, a2))
        return [g for d, a in pairs for g in (d.dot(a.T), d.sum(axis=1))]


def distances(found, exact):
    """|found - exact| for six arrays, rounded once, as six float arrays."""
    with mpmath.workdps(100):
        pairs = zip(found, exact, strict=True)
        return [np.abs(to_mpf(f) - e).astype(float) for f, e in pairs]


def norm_ratios(notebook, point, h):
    """Norm of each gradient's bound over the norm of its error."""
    numerical = notebook.numerical_gradients(*point, h)
    error = notebook.norms(distances(numerical, exact_gradients(*point)))
    return notebook.norms(notebook.error_bounds(*point, h)) / error


def assert_within(errors, bounds):
    """No entry of six arrays of errors is larger than its bound."""
    for error, bound in zip(errors, bounds, strict=True):
        assert error.shape == bound.shape
        assert (error <= bound).all()
