"""check_gradient on code that shares nothing with the notebook."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture(autouse=True)
def warnings_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def normal(draw, *shape):
    return torch.tensor(draw.randn(*shape))


def relu_softmax(draw):
    """Rows, a dict, weight decay."""
    X, labels = normal(draw, 15, 4), torch.tensor(draw.randint(3, size=15))
    net = {"W1": normal(draw, 4, 6), "b1": normal(draw, 6)}
    net |= {"W2": normal(draw, 6, 3), "b2": normal(draw, 3)}

    def loss(net):
        hidden = torch.relu(X @ net["W1"] + net["b1"])
        scores = hidden @ net["W2"] + net["b2"]
        return F.cross_entropy(scores, labels) + 0.1 * (net["W1"] ** 2).sum()

    return loss, net


def columns(draw):
    """Columns, a list, biases of shape (n, 1), a loss of shape (1, 1)."""
    X, Y = normal(draw, 3, 8), normal(draw, 2, 8)

    def loss(arrays):
        W, b, V, c = arrays
        off = V @ torch.tanh(W @ X + b) + c - Y
        return torch.cosh(off).sum().reshape(1, 1)

    return loss, [normal(draw, *s) for s in ((5, 3), (5, 1), (2, 5), (2, 1))]


def batch_norm(draw):
    """A bias before batch normalization, whose gradient is 0."""
    X, Y = normal(draw, 12, 3), normal(draw, 12, 4)

    def loss(arrays):
        W, b, g = arrays
        z = F.batch_norm(X @ W + b, None, None, g, training=True)
        return F.mse_loss(z, Y)

    return loss, [normal(draw, 3, 4), normal(draw, 4), normal(draw, 4)]


def max_pooling(draw):
    """A filter over an image with black pixels, ReLU, a bias of 0."""
    image = draw.rand(1, 1, 9, 9) * (draw.rand(1, 1, 9, 9) < 0.4)
    image[..., :4, :5] = 0
    image, weights = torch.tensor(image), torch.tensor(draw.rand(4, 4) + 0.5)

    def loss(net):
        z = F.conv2d(image, net["filter"], net["bias"])
        return (weights * F.max_pool2d(torch.relu(z), 2)).sum()

    bias = torch.zeros(1, dtype=float)
    return loss, {"filter": normal(draw, 1, 1, 2, 2), "bias": bias}


def recurrent(draw):
    """A recurrent network of 20 steps, a module of PyTorch."""
    X = normal(draw, 20, 7, 3)
    module = torch.nn.RNN(3, 4).to(X.dtype)
    parameters = {
        n: normal(draw, *p.shape) for n, p in module.named_parameters()
    }

    def loss(tensors):
        outputs, _ = torch.func.functional_call(module, tensors, X)
        return (outputs**3).sum()

    return loss, parameters


def single_precision(draw):
    X, Y = normal(draw, 9, 3).float(), normal(draw, 9, 4).float()
    arrays = [normal(draw, 3, 4).float(), normal(draw, 4).float()]
    return lambda a: F.mse_loss(torch.sigmoid(X @ a[0] + a[1]), Y), arrays


def many_entries(draw):
    """An array of 30,000 entries."""
    X, W = normal(draw, 6, 300), normal(draw, 300, 100) / 17
    return lambda arrays: ((X @ arrays[0] - 1) ** 2).sum(), [W]


def changed_in_place(draw):
    """Leaky ReLU that changes what it is given."""
    X = normal(draw, 20, 3)

    def loss(arrays):
        z = F.leaky_relu(X @ arrays[0] + arrays[1], 0.1, inplace=True)
        value = torch.log(1 + z**2).sum()
        if not arrays[0].requires_grad:
            arrays[0] *= 0  # it is a copy
        return value

    return loss, [normal(draw, 3, 5), normal(draw, 5)]


CODES = [
    relu_softmax,
    columns,
    batch_norm,
    max_pooling,
    recurrent,
    single_precision,
    many_entries,
    changed_in_place,
]


def as_dict(arrays):
    if isinstance(arrays, dict):
        return dict(arrays)
    return {f"array {i}": array for i, array in enumerate(arrays)}


def autograd(loss, arrays):
    """{name: gradient} of a loss of tensors."""
    tensors = {
        n: a.clone().requires_grad_() for n, a in as_dict(arrays).items()
    }
    given = tensors if isinstance(arrays, dict) else [*tensors.values()]
    loss(given).sum().backward()
    return {name: tensor.grad for name, tensor in tensors.items()}


@pytest.mark.parametrize("write", CODES)
def test_right_gradients(book, capsys, write):
    loss, arrays = write(np.random.RandomState(0))
    found = autograd(loss, arrays)
    before = {name: array.clone() for name, array in as_dict(arrays).items()}
    given = found if isinstance(arrays, dict) else [*found.values()]
    assert book.check_gradient(loss, arrays, given, entries=20)
    text = capsys.readouterr().out
    assert text.count("right") == len(found)
    assert "wrong" not in text and "nan" not in text
    assert ("ouble" in text) == (write is single_precision)
    for name, array in as_dict(arrays).items():
        assert (array == before[name]).all()


MISTAKES = {
    "half": lambda g: g / 2,
    "sign": lambda g: -g,
    "nothing": lambda g: g * 0,
    "a hundredth more": lambda g: g * 1.01,
    "the other way round": lambda g: g.flip(0) + 0.3 * abs(g).max(),
    "mean": lambda g: g / 7,
    "shifted": lambda g: g + 0.01 * abs(g).max(),
    "absolute": lambda g: abs(g) + 0.02 * abs(g).max(),
    "one value": lambda g: g * 0 + 0.77 * abs(g).max(),
    "without small ones": lambda g: g * (abs(g) > abs(g).max() / 2) * 1.05,
}


@pytest.mark.parametrize("write", CODES)
def test_mistakes(book, capsys, write):
    loss, arrays = write(np.random.RandomState(5))
    found = autograd(loss, arrays)
    # the bias before batch normalization has the gradient 0
    names = [name for name, g in found.items() if abs(g).max() > 1e-10]
    for i, spoil in enumerate(MISTAKES.values()):
        name = names[i % len(names)]
        gradients = found | {name: spoil(found[name])}
        if not isinstance(arrays, dict):
            gradients = [*gradients.values()]
        assert not book.check_gradient(loss, arrays, gradients, entries=2)
        for line in capsys.readouterr().out.splitlines():
            bad = "wrong" in line or "nothing can be told" in line
            assert bad == line.startswith(f"{name} (")


class Model:
    """A class that keeps its parameters in itself."""

    def __init__(self):
        self.params = {"w": np.array([[1.0], [2.0]]), "b": np.array(3.0)}

    def loss(self, params):
        self.params = params
        return (self.params["w"] ** 2).sum() + np.sin(self.params["b"])


def test_a_class_that_keeps_what_it_is_given(book, capsys):
    model = Model()
    given = model.params
    found = {"b": np.cos(given["b"]), "w": 2 * given["w"]}
    assert book.check_gradient(model.loss, given, found)
    assert "b (1 entry): right" in capsys.readouterr().out
    for name, array in Model().params.items():
        assert (model.params[name] == array).all()
        assert (given[name] == array).all()


def test_a_wrong_entry_is_named(book, capsys):
    loss, arrays = columns(np.random.RandomState(0))
    found = [*autograd(loss, arrays).values()]
    right = found[2][1, 3].item()
    found[2][1, 3] *= 1.001
    assert not book.check_gradient(loss, arrays, found)
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "wrong" in line]
    assert line.startswith("array 2 (10 entries): wrong in 1,")
    assert "[1, 3]" in line
    assert f"{right * 1.001:.6g}" in line and f"{right:.6g}" in line


def test_three_hundred_right_gradients(book, capsys):
    """Networks of ReLUs with biases of 0, a quarter of them near a fit."""
    wrong = told = 0
    for seed in range(100):
        draw = np.random.RandomState(seed)
        n, m, k = draw.randint(1, 5, size=3)
        X = draw.randn(6, n) * (draw.rand(6, 1) < 0.8)  # some are black
        arrays = [draw.randn(n, m), np.zeros(m), draw.randn(m, k)]
        hidden = np.maximum(0, X @ arrays[0])
        off = draw.randn(6, k) * (1e-6 if seed % 4 == 0 else 1)
        Y = hidden @ arrays[2] - off
        back = off @ arrays[2].T * (hidden > 0) / 6
        found = [X.T @ back, back.sum(axis=0), hidden.T @ off / 6]

        def loss(arrays, X=X, Y=Y):
            hidden = np.maximum(0, X @ arrays[0] + arrays[1])
            return ((hidden @ arrays[2] - Y) ** 2).sum() / 12

        told += book.check_gradient(loss, arrays, found, entries=6)
        wrong += capsys.readouterr().out.count("wrong")
        if seed % 5 == 0:  # twice the right gradient is never right
            doubled = [2 * g for g in found]
            assert not book.check_gradient(loss, arrays, doubled, entries=6)
            capsys.readouterr()
    assert wrong <= 3 and told >= 80


def test_corners(book, capsys):
    """At 0, |t| has the slopes -1 and 1 and the mean 0."""
    arrays = [np.array([0.0, 2.0])]
    for slope, verdict in {
        -1: "right",
        1: "right",
        0: "right",
        0.5: "nothing can be told",
        1.5: "nothing can be told",
        11: "wrong",
    }.items():
        found = [np.array([slope, 1.0])]
        right = book.check_gradient(lambda a: abs(a[0]).sum(), arrays, found)
        text = capsys.readouterr().out
        assert right == (verdict == "right") and verdict in text
        # 0 is what a central difference finds, and 11 no slope at all
        assert ("corner" in text) == (slope not in (0, 11))


def test_losses_that_have_no_value_to_check(book, capsys):
    arrays, found = [np.ones(3)], [np.ones(3)]
    random = np.random.RandomState(0)
    assert not book.check_gradient(
        lambda a: a[0].sum() + random.rand(), arrays, found
    )
    assert "seed" in capsys.readouterr().out
    assert not book.check_gradient(lambda a: 3.0, arrays, found)
    text = capsys.readouterr().out
    assert "argument" in text and len(text.splitlines()) == 1
    for value in np.ones(2), 1j, np.nan, np.inf, "1", None, []:
        with pytest.raises(ValueError, match="loss"):
            book.check_gradient(lambda a, v=value: v, arrays, found)
    with pytest.raises(ZeroDivisionError):
        book.check_gradient(lambda a: 1 / 0, arrays, found)


def test_a_loss_that_is_not_defined_everywhere(book, capsys):
    def loss(arrays):
        """math.log raises where an entry is not positive."""
        return sum(math.log(v) for v in arrays["w"]) + arrays["v"].sum()

    for w, sign, right, text in (
        ([0.3, 5.0], 1, True, "w (2 entries): right"),
        ([1e-9, 5.0], 1, False, "nothing can be told of 1"),
        ([1e-9, 5.0], -1, False, "wrong in 1,"),
    ):
        arrays = {"w": np.array(w), "v": np.ones(2)}
        found = {"v": np.ones(2), "w": sign / arrays["w"]}
        assert book.check_gradient(loss, arrays, found) == right
        assert text in capsys.readouterr().out


def test_numbers_of_all_kinds(book):
    w = np.array([1.0, 2.0])
    for kind in (
        np.asarray,
        np.atleast_2d,
        float,
        lambda v: [[v]],
        lambda v: torch.tensor(v, requires_grad=True),
    ):
        found = (torch.tensor(2 * w, requires_grad=True),)
        assert book.check_gradient(
            lambda a, kind=kind: kind((a[0] ** 2).sum()), (w,), found
        )


def test_of_many_entries_some_are_tried(book, capsys):
    count, last = 0, None

    def loss(arrays):
        nonlocal count, last
        count, last = count + 1, arrays
        return (arrays[0] ** 2).sum() + arrays[1].sum()

    arrays = [np.linspace(1, 2, 30_000), np.ones(3)]
    assert book.check_gradient(loss, arrays, [2 * arrays[0], np.ones(3)])
    text = capsys.readouterr().out
    assert "100 of 30,000 entries" in text and "(3 entries)" in text
    assert count <= 103 * 30 + 220
    assert (last[0] == arrays[0]).all() and last[0] is not arrays[0]


def test_a_gradient_of_zero(book, capsys):
    arrays = [np.ones(3), np.ones(2)]
    for zero, text in (
        (0.0, "zero to within"),
        (1e-17, "zero to within"),
        (1e-3, "wrong in 2"),
    ):
        found = [2 * arrays[0], np.full(2, zero)]
        right = book.check_gradient(
            lambda a: (a[0] ** 2).sum() + 0 * a[1].sum(), arrays, found
        )
        assert right == (text == "zero to within")
        assert text in capsys.readouterr().out


w = np.ones((2, 3))


@pytest.mark.parametrize(
    "arrays, found",
    [
        (w, [w]),
        ([w], w),
        ([w], None),
        ([w, w], [w]),
        ({"V": w}, {"W": w}),
        ({"V": w}, [w]),
        ([w], [w.T]),
        ([w], [w[:1]]),
        ([w], [None]),
        ([w], [w.astype(int)]),
        ([w.astype(int)], [w]),
        ([w], [w + 0j]),
        ([w], [w * np.nan]),
        ([w * np.inf], [w]),
    ],
)
def test_what_does_not_match_is_refused(book, arrays, found):
    with pytest.raises(ValueError, match="array|gradient"):
        book.check_gradient(lambda a: 1 / 0, arrays, found)


@pytest.mark.parametrize(
    "found, value, bar, right, text",
    [
        # as many digits as the bar is smaller than the gradient, up to 15
        (5.0, 5.0, 1e-3, True, "confirmed to 3 digits"),
        (5.0, 5.0 + 2e-3, 1e-3, True, "confirmed to 3 digits"),
        (5.0, 5.0, 1e-17, True, "confirmed to 15 digits"),
        # a bar of a hundredth tells, and a wider one does not
        (5.0, 5.0, 0.049, True, "confirmed to 2 digits"),
        (5.0, 5.0, 0.06, False, "the error bars are too wide"),
        (5.0, 5.0, np.inf, False, "nothing can be told"),
        # zero is told to within 1e-7 of all gradients, whose norm is 10
        (0.0, 1e-7, 9e-7, True, "zero to within 9e-07"),
        (0.0, 0.0, 1.5e-6, False, "the error bars are too wide"),
        (0.0, 9e-7, 3e-7, False, "the error bars are too wide"),
    ],
)
def test_verdicts(book, found, value, bar, right, text):
    columns = [np.array([number]) for number in (found, value, bar)]
    index = np.zeros((1, 1), int)
    answer = book.verdict(*columns, np.array([False]), index, 10.0)
    assert answer[0] == right and text in answer[1]
    # an entry of which nothing is told does not silence the others
    if right:
        columns = [
            np.append(c, more) for c, more in zip(columns, (1, 1, np.inf))
        ]
        answer = book.verdict(*columns, np.zeros(2, bool), index, 10.0)
        assert not answer[0] and text in answer[1]
