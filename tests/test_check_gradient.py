"""check_gradient on code that shares nothing with the notebook."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch.nn import functional as F


@pytest.fixture
def check(book, capsys):
    """check_gradient, which also returns what it prints."""

    def call(loss, arrays, found, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            right = book.check_gradient(loss, arrays, found, **options)
        return right, capsys.readouterr().out

    return call


draw = np.random.RandomState(8)


def normal(*shape):
    return torch.tensor(draw.standard_normal(shape))


X, Y = normal(15, 4), normal(15, 3)
wide, series = normal(6, 300), normal(20, 2, 3)
labels = torch.tensor(draw.randint(3, size=15))
image = draw.rand(1, 1, 9, 9) * (draw.rand(1, 1, 9, 9) < 0.4)
image[..., :4, :5] = 0  # black pixels
image, weights = torch.tensor(image), torch.tensor(draw.rand(4, 4) + 0.5)
rnn = torch.nn.RNN(3, 4).double()


def relu_softmax(net):
    scores = torch.relu(X @ net["W"] + net["b"]) @ net["V"] + net["c"]
    return F.cross_entropy(scores, labels) + 0.1 * (net["W"] ** 2).sum()


def columns(net):
    off = net["V"] @ torch.tanh(net["W"] @ X.T + net["b"]) + net["c"] - Y.T
    return torch.cosh(off).sum().reshape(1, 1)


def batch_norm(net):
    z = X @ net["W"] + net["b"]
    z = F.batch_norm(z, None, None, net["g"], training=True)
    return F.mse_loss(z, Y)


def max_pooling(net):
    z = torch.relu(F.conv2d(image, net["filter"], net["bias"]))
    return (weights * F.max_pool2d(z, 2)).sum()


def recurrent(net):
    outputs, _ = torch.func.functional_call(rnn, net, series)
    return (outputs**3).sum()


def single_precision(net):
    return F.mse_loss(torch.sigmoid(X.float() @ net["W"]), Y.float())


def many_entries(net):
    return ((wide @ net["W"] - 1) ** 2).sum()


def changed_in_place(net):
    z = F.leaky_relu(X @ net["W"] + net["b"], 0.1, inplace=True)
    if not net["W"].requires_grad:
        net["W"] *= 0  # it is a copy
    return (z**2).sum()


def normals(**shapes):
    return {name: normal(*shape) for name, shape in shapes.items()}


CODES = {
    relu_softmax: normals(W=(4, 6), b=(6,), V=(6, 3), c=(3,)),
    columns: normals(W=(5, 4), b=(5, 1), V=(3, 5), c=(3, 1)),
    batch_norm: normals(W=(4, 3), b=(3,), g=(3,)),
    max_pooling: normals(filter=(1, 1, 2, 2)) | {"bias": normal(1) * 0},
    recurrent: normals(**{n: p.shape for n, p in rnn.named_parameters()}),
    single_precision: {"W": normal(4, 3).float()},
    many_entries: {"W": normal(300, 100) / 17},
    changed_in_place: normals(W=(4, 5), b=(5,)),
}
MISTAKES = [
    lambda g: g / 2,
    lambda g: -g,
    lambda g: g * 0,
    lambda g: g * 1.01,
    lambda g: g.flip(0) + 0.3 * abs(g).max(),
    lambda g: g / 7,
    lambda g: g + 0.01 * abs(g).max(),
    lambda g: abs(g) + 0.02 * abs(g).max(),
    lambda g: g * 0 + 0.77 * abs(g).max(),
    lambda g: g * (abs(g) > abs(g).max() / 2) * 1.05,
]


def autograd(loss, net):
    """{name: gradient} of a loss of tensors."""
    tensors = {name: a.clone().requires_grad_() for name, a in net.items()}
    loss(tensors).backward()
    return {name: tensor.grad for name, tensor in tensors.items()}


@pytest.mark.parametrize("loss", CODES)
def test_codes(check, loss):
    net = CODES[loss]
    right = autograd(loss, net)
    before = {name: array.clone() for name, array in net.items()}
    answer, text = check(loss, net, right, entries=5)
    # in single precision the bars may be too wide to tell
    assert answer or loss is single_precision
    assert "wrong" not in text and "nan" not in text
    assert ("ouble" in text) == (loss is single_precision)
    assert ("5 of 30,000 entries" in text) == (loss is many_entries)
    # the bias before batch normalization has the gradient 0
    names = [name for name, g in right.items() if abs(g).max() > 1e-10]
    for i in range(0, len(MISTAKES), len(names)):
        spoil = dict(zip(names, MISTAKES[i:]))
        wrong = {name: mistake(right[name]) for name, mistake in spoil.items()}
        answer, text = check(loss, net, right | wrong, entries=2)
        assert not answer
        for name, line in zip(net, text.splitlines()):
            bad = "wrong" in line or "nothing can be told" in line
            assert bad == (name in wrong)
    assert all((net[name] == before[name]).all() for name in net)


def test_a_loss_that_keeps_what_it_is_given(check):
    given = {"w": np.array([[1.0], [2.0]]), "b": np.array(3.0)}
    kept = {}

    def loss(params):
        kept.update(params)
        return (kept["w"] ** 2).sum() + np.sin(kept["b"])

    found = {"b": np.cos(given["b"]), "w": 2 * given["w"]}
    right, text = check(loss, given, found)
    assert right and "b (1 entry): right" in text
    for array, copy in zip(given.values(), kept.values()):
        assert (array == copy).all() and array is not copy


def test_a_wrong_entry_is_named(check):
    found = autograd(columns, CODES[columns])
    right = found["V"][1, 3].item()
    found["V"][1, 3] *= 1.001
    _, text = check(columns, CODES[columns], found)
    (line,) = [line for line in text.splitlines() if "wrong" in line]
    assert line.startswith("V (15 entries): wrong in 1,")
    assert "[1, 3]" in line
    assert f"{right * 1.001:.6g}" in line and f"{right:.6g}" in line


def test_at_most_a_hundred_entries_are_tried(check):
    arrays = [np.linspace(1, 2, 101)]
    _, text = check(lambda a: (a[0] ** 2).sum(), arrays, [2 * arrays[0]])
    assert "(100 of 101 entries): right" in text


def test_three_hundred_right_gradients(check):
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

        right, text = check(loss, arrays, found, entries=2)
        told += right
        wrong += text.count("wrong")
        if seed % 10 == 0:  # twice the right gradient is never right
            doubled = [2 * gradient for gradient in found]
            assert not check(loss, arrays, doubled, entries=2)[0]
    # one in a hundred may be wrong; measured: none, and 88 networks told
    assert wrong <= 3 and told >= 80


@pytest.mark.parametrize(
    "slope, verdict",
    [(-1.0, "right"), (1.0, "right"), (0.0, "right"), (11.0, "wrong")]
    + [(slope, "nothing can be told") for slope in (0.5, 1.5)],
)
def test_corners(check, slope, verdict):
    """At 0, |t| has the slopes -1 and 1 and the mean 0."""
    arrays, found = [np.array([0.0, 2.0])], [np.array([slope, 1.0])]
    right, text = check(lambda a: abs(a[0]).sum(), arrays, found)
    assert right == (verdict == "right") and verdict in text
    # 0 is what a central difference finds, and 11 no slope at all
    assert ("corner" in text) == (slope not in (0, 11))


def test_losses_that_have_no_value_to_check(check):
    arrays, found = [np.ones(3)], [np.ones(3)]
    random = np.random.RandomState(0)
    right, text = check(lambda a: a[0].sum() + random.rand(), arrays, found)
    assert not right and "seed" in text
    right, text = check(lambda a: 3.0, arrays, found)
    assert not right and "argument" in text
    assert len(text.splitlines()) == 1
    for value in np.ones(2), 1j, np.nan, np.inf, "1", None, []:
        with pytest.raises(ValueError, match="loss"):
            check(lambda a, v=value: v, arrays, found)
    with pytest.raises(ZeroDivisionError):
        check(lambda a: 1 / 0, arrays, found)


def test_a_loss_that_is_not_defined_everywhere(check):
    def loss(arrays):
        """math.log raises where an entry is not positive."""
        return sum(math.log(v) for v in arrays["w"]) + arrays["v"]

    for w, sign, expected in (
        ([0.3, 5.0], 1, "w (2 entries): right"),
        ([1e-9, 5.0], 1, "nothing can be told of 1"),
        ([1e-9, 5.0], -1, "wrong in 1,"),
    ):
        arrays = {"w": np.array(w), "v": np.array(3.0)}
        found = {"v": np.array(1.0), "w": sign / arrays["w"]}
        right, text = check(loss, arrays, found)
        assert expected in text and right == ("right" in expected)
        assert "v (1 entry): right" in text


def test_numbers_of_all_kinds(check):
    w = np.array([1.0, 2.0])
    for kind in (
        np.asarray,
        float,
        lambda v: [[v]],
        lambda v: torch.tensor(v, requires_grad=True),
    ):
        found = (torch.tensor(2 * w, requires_grad=True),)
        assert check(lambda a, k=kind: k((a[0] ** 2).sum()), (w,), found)[0]


M = np.ones((2, 3))


@pytest.mark.parametrize(
    "arrays, found",
    [
        (M, [M]),
        ([M], M),
        ([M], None),
        ([M, M], [M]),
        ({"V": M}, {"W": M}),
        ([M], [M.T]),
        ([M], [None]),
        ([M], [M.astype(int)]),
        ([M.astype(int)], [M]),
        ([M], [M + 0j]),
        ([M], [M * np.nan]),
        ([M * np.inf], [M]),
    ],
)
def test_what_does_not_match_is_refused(check, arrays, found):
    with pytest.raises(ValueError, match="array|gradient"):
        check(lambda a: 1 / 0, arrays, found)


VERDICTS = [  # gradient, value, bar, whether it is right, what is said
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
]


@pytest.mark.parametrize("found, value, bar, right, text", VERDICTS)
def test_verdicts(book, found, value, bar, right, text):
    columns = np.array([[found, 1.0], [value, 1.0], [bar, np.inf]])
    # the second entry, of which nothing is told, does not silence the first
    for n in 1, 2:
        answer = book.verdict(*columns[:, :n], np.zeros(n, bool), None, 10.0)
        assert answer[0] == (right and n == 1) and text in answer[1]
