"""Reference gradients in 100-digit arithmetic, from the loss alone.

Run as a script, this writes references.json anew:

    python tests/references.py

Central differences with h = 1e-30 in 100 digits are exact to about 60: the
truncation error is of order h**2, the rounding error of order 1e-100 / h.
No gradient formula is used, so the references share nothing with backprop.
"""

import json
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np

TABLE = Path(__file__).with_name("references.json")
SIZES = (3, 4, 2, 5)
SCALES = (0.01, 0.3, 1.0, 3.0, 10.0)


def random_point(sizes, scale, seed=0):
    """Six parameters of order scale, inputs and targets of order one.

    RandomState draws the same numbers in every version of NumPy.
    """
    inputs, hidden, outputs, samples = sizes
    draw = np.random.RandomState(seed).standard_normal
    parameters = []
    for columns, rows in pairwise((inputs, hidden, hidden, outputs)):
        parameters += [scale * draw((rows, columns)), scale * draw(rows)]
    return parameters, draw((inputs, samples)), draw((outputs, samples))


def exact_loss(parameters, x, y):
    """Equation (1) in mpmath, written out over samples and units."""
    total = mpmath.mpf(0)
    for sample, target in zip(x.T, y.T, strict=True):
        signal = list(sample)
        for layer in range(3):
            weights, bias = parameters[2 * layer : 2 * layer + 2]
            signal = [
                mpmath.fdot(row, signal) + offset
                for row, offset in zip(weights, bias, strict=True)
            ]
            if layer < 2:
                signal = [1 / (1 + mpmath.exp(-z)) for z in signal]
        total += sum((f - t) ** 2 for f, t in zip(signal, target, strict=True))
    return total / (2 * x.shape[1])


def reference_gradients(parameters, x, y):
    """The gradients in a flat list of floats, each correctly rounded."""
    with mpmath.workdps(100):
        h = mpmath.mpf("1e-30")
        to_mpf = np.vectorize(mpmath.mpf, otypes=[object])
        x, y = to_mpf(x), to_mpf(y)
        moved = [to_mpf(array) for array in parameters]
        gradients = []
        for array in moved:
            for k in np.ndindex(array.shape):
                value = array[k]
                array[k] = value + h
                plus = exact_loss(moved, x, y)
                array[k] = value - h
                minus = exact_loss(moved, x, y)
                array[k] = value
                gradients.append(float((plus - minus) / (2 * h)))
    return gradients


if __name__ == "__main__":
    table = {
        str(scale): reference_gradients(*random_point(SIZES, scale))
        for scale in SCALES
    }
    TABLE.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
