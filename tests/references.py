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


def mp_layers(parameters, x):
    """Outputs of every layer, for object arrays of mpmath numbers."""
    W1, b1, W2, b2, W3, b3 = parameters
    a1 = mp_sigmoid(W1.dot(x) + b1[:, None])
    a2 = mp_sigmoid(W2.dot(a1) + b2[:, None])
    return a1, a2, W3.dot(a2) + b3[:, None]


def complex_step_gradients(parameters, x, y):
    """Six object arrays of 100 digits, without any gradient formula."""
    with mpmath.workdps(100):
        h = mpmath.mpf("1e-60")
        moved, x, y = [to_mpf(p) for p in parameters], to_mpf(x), to_mpf(y)
        gradients = [np.empty_like(p) for p in moved]
        for array, gradient in zip(moved, gradients):
            for k in np.ndindex(array.shape):
                array[k] = mpmath.mpc(array[k], h)
                squares = (mp_layers(moved, x)[-1] - y) ** 2
                gradient[k] = squares.sum().imag / (2 * x.shape[1] * h)
                array[k] = array[k].real
        return gradients


def exact_gradients(parameters, x, y):
    """Six object arrays of 50 digits, by backpropagation, which is fast."""
    with mpmath.workdps(50):
        parameters = [to_mpf(p) for p in parameters]
        x, y = to_mpf(x), to_mpf(y)
        a1, a2, output = mp_layers(parameters, x)
        delta3 = (output - y) / x.shape[1]
        delta2 = parameters[4].T.dot(delta3) * a2 * (1 - a2)
        delta1 = parameters[2].T.dot(delta2) * a1 * (1 - a1)
        pairs = ((delta1, x), (delta2, a1), (delta3, a2))
        return [g for d, a in pairs for g in (d.dot(a.T), d.sum(axis=1))]


def distances(found, exact):
    """|found - exact| for six arrays, rounded once, as six float arrays."""
    with mpmath.workdps(50):
        pairs = zip(found, exact, strict=True)
        return [np.abs(to_mpf(f) - e).astype(float) for f, e in pairs]
