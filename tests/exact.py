"""Networks at other points, and their loss and gradients to 60 digits."""

from decimal import Decimal, localcontext

import numpy as np

U = 2.0**-53  # half the spacing of doubles, relative
as_decimals = np.vectorize(lambda v: Decimal(float(v)), otypes=[object])
sigmoid = np.vectorize(lambda z: 1 / (1 + (-z).exp()), otypes=[object])


def network(seed, sizes, scale=1.0):
    """Parameters of order scale, inputs and targets of order one."""
    n0, n1, n2, n3, samples = sizes
    draw = np.random.RandomState(seed).standard_normal
    shapes = [(n1, n0), (n1,), (n2, n1), (n2,), (n3, n2), (n3,)]
    parameters = [scale * draw(shape) for shape in shapes]
    return parameters, draw((n0, samples)), draw((n3, samples))


def forward_and_backward(parameters, x, y):
    """[a1, a2, output], loss and six gradients, rounded to doubles."""
    with localcontext() as context:
        context.prec = 60
        W1, b1, W2, b2, W3, b3 = (as_decimals(p) for p in parameters)
        x, y = as_decimals(x), as_decimals(y)
        a1 = sigmoid(W1 @ x + b1[:, np.newaxis])
        a2 = sigmoid(W2 @ a1 + b2[:, np.newaxis])
        output = W3 @ a2 + b3[:, np.newaxis]
        errors = output - y
        loss = (errors**2).sum() / (2 * x.shape[1])
        delta3 = errors / x.shape[1]
        delta2 = (W3.T @ delta3) * a2 * (1 - a2)
        delta1 = (W2.T @ delta2) * a1 * (1 - a1)
        gradients = []
        for delta, inputs in (delta1, x), (delta2, a1), (delta3, a2):
            gradients += [delta @ inputs.T, delta.sum(axis=1)]
    layers, gradients = (
        [array.astype(float) for array in arrays]
        for arrays in ([a1, a2, output], gradients)
    )
    return layers, float(loss), gradients


def loss(theta, parameters, x, y):
    """The loss with the entries of theta in place of the parameters."""
    parts = np.split(theta, np.cumsum([p.size for p in parameters[:-1]]))
    pairs = zip(parts, parameters, strict=True)
    return forward_and_backward([v.reshape(p.shape) for v, p in pairs], x, y)[
        1
    ]


def tolerances(parameters, x, y):
    """Bounds of the rounding in double: (layers, loss, gradients).

    Each is a number of roundings times U times the value that the same
    formula has for absolute values. A sum of n products has n roundings.
    With z at most `reach`, an error of n roundings in z is one of n * reach
    in sigma(z), relatively, and in its slope a (1 - a); forming 1 - a adds
    up to U, for which 1/4 + 1/4 stands in place of the slope. Errors are
    passed on through at most four layers of the two passes.
    """
    W1, b1, W2, b2, W3, b3 = (np.abs(p) for p in parameters)
    x, y = np.abs(x), np.abs(y)
    z1 = W1 @ x + b1[:, np.newaxis]
    z2 = W2.sum(axis=1) + b2  # the outputs of layer 1 are at most 1
    z3 = W3.sum(axis=1) + b3
    reach = 1 + max(z1.max(), z2.max())
    n = x.shape[0] + x.shape[1] + len(W1) + len(W2) + len(W3) + 10
    one = U * 4 * n * reach
    errors = z3[:, np.newaxis] + y
    delta3 = errors / x.shape[1]
    delta2 = W3.T @ delta3 / 2
    delta1 = W2.T @ delta2 / 2
    gradients = []
    for delta, inputs in (delta1, x), (delta2, z1**0), (delta3, delta2**0):
        gradients += [one * delta @ inputs.T, one * delta.sum(axis=1)]
    layers = [one, one, one * z3[:, np.newaxis]]
    return layers, one * (errors**2).sum() / x.shape[1], gradients
