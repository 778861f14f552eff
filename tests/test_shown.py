"""What the cells show whose outputs nbval is told to ignore.

Every number there, as stored and in a fresh run, is held against what the
run's own results say it must be. The cells stand in SHOWN in their order.
"""

import re

import numpy as np
import pytest

import exact
from conftest import is_ignored

NUMBER = re.compile(
    r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?(?![\w.])"
)
NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]
METHODS = ["numerical", "backprop"]


class Exact:
    """Numbers that are the same on every machine, to the digits shown."""

    def __init__(self, *numbers):
        self.numbers = np.ravel(numbers)
        self.room = 0 * self.numbers


class Near(Exact):
    """Numbers of which each differs between machines by up to `room`."""

    def __init__(self, numbers, room):
        self.numbers = np.ravel(numbers)
        self.room = np.zeros(self.numbers.size) + np.ravel(room)


class Noise(Exact):
    """Sizes of rounding, each at most `below`; `one` rounding is tiny."""

    def __init__(self, numbers, below, one=0):
        self.numbers = np.ravel(numbers)
        self.below = np.zeros(self.numbers.size) + np.ravel(below)
        self.one = one


class Size(Noise):
    """Noise of which each number is within a factor of ten, everywhere."""


def norms(arrays):
    return np.array([np.linalg.norm(array) for array in arrays])


def errors(arrays, others):
    """Relative errors of pairs of arrays, by the test's own formula."""
    off = norms([a - b for a, b in zip(arrays, others)])
    return off / np.maximum(norms(arrays), norms(others))


def entry_errors(a, b):
    return np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))


def bound_of_quotients(book, h=1e-5):
    """What rounding can do to a central quotient at the sheets' point."""
    point = book.parameters, book.x, book.y
    return 2 * exact.tolerances(*point)[1] / (2 * h)


def row_of_errors(book, found, room):
    """Noise: relative errors of six gradients, each entry off by room."""
    right = book.gradients["backprop"]
    sizes = np.sqrt([g.size for g in right])
    return [Noise(errors(found, right), room * sizes / norms(right))]


def rounding_errors(book, method):
    """Noise: relative errors of two methods without differences."""
    point = book.parameters, book.x, book.y
    right = book.gradients["backprop"]
    bounds = [3 * norm for norm in norms(exact.tolerances(*point)[2])]
    found = errors(book.gradients[method], right)
    return [Noise(found, bounds / norms(right), one=exact.U)]


def one_entry(book):
    right = book.flatten(book.gradients["backprop"])
    k = np.abs(right).argmin()
    move = 1e-5 * (np.arange(right.size) == k)
    losses = [book.L(book.theta + move), book.L(book.theta - move)]
    room = bound_of_quotients(book)
    return [
        *(Near(loss, room * 1e-5) for loss in losses),
        Near(losses[0] - losses[1], room * 2e-5),
        Near(book.flatten(book.gradients["numerical"])[k], room),
        Exact(right[k]),
    ]


def second_network(book):
    point = exact.network(1, (3, 5, 4, 2, 6))
    right = book.backward(*point)
    room = 2 * exact.tolerances(*point)[1] / 2e-5
    sizes = np.sqrt([g.size for g in right])
    found = errors(book.numerical_gradients(*point), right)
    return [Noise(found, room * sizes / norms(right))]


def layers(book):
    point = book.parameters, book.x, book.y
    ours = book.forward(book.parameters, book.x)
    tensor, theirs = book.torch.tensor(book.x.T), []
    for module in book.model:
        tensor = module(tensor)
        theirs.append(tensor.detach().numpy().T)
    pairs = zip(ours, [theirs[1], theirs[3], theirs[4]], strict=True)
    farthest = max(np.abs(a - b).max() for a, b in pairs)
    room = max(np.max(tolerance) for tolerance in exact.tolerances(*point)[0])
    return [Noise(farthest, 2 * room)]


def gradient_rows(book, *indices):
    """The arrays of a gradient by both methods, and relative errors."""
    room, rows = bound_of_quotients(book), []
    for i in indices:
        found, right = (book.gradients[method][i] for method in METHODS)
        below = np.atleast_2d(room / np.abs(right))
        off = np.atleast_2d(entry_errors(found, right))
        rows += [Near(row, room) for row in np.atleast_2d(found)]
        rows += [Exact(row) for row in np.atleast_2d(right)]
        rows += [Noise(*pair) for pair in zip(off, below)]
    return rows


def yardsticks(book):
    found, right = (book.flatten(book.gradients[m]) for m in METHODS)
    off = entry_errors(found, right)
    short = book.numerical_gradient(book.L, book.theta, 1e-7)
    whole = np.linalg.norm(short - right)
    whole /= np.linalg.norm(short) + np.linalg.norm(right)
    worst = bound_of_quotients(book) / np.abs(right).min()
    return [
        # some are near 1e-7
        Near([1e-7, np.sum(off <= 1e-7), off.size], [0, 8, 0]),
        Size(off.max(), worst),
        Size(whole, bound_of_quotients(book, 1e-7) * 46**0.5),
    ]


def ticks(book):
    found, right = (book.flatten(book.gradients[m]) for m in METHODS)
    q = 2.0**-52 / 2e-5
    off = np.abs(found - right) / q
    return [Exact(46, 46), Size(off.max(), bound_of_quotients(book) / q)]


def shifted(book):
    right = book.flatten(book.gradients["backprop"])
    found = book.numerical_gradient(lambda t: 1000 + book.L(t), book.theta)
    q = 2.0**-43 / 2e-5
    in_W1 = errors([found[:12]], [right[:12]])[0]
    return [
        # between the extremes of 200 seeds, measured: 0.24 to 0.59
        Near(np.sqrt(np.mean((found - right) ** 2)) / q, 0.2),
        Size(in_W1, 12**0.5 * q / np.linalg.norm(right[:12])),
    ]


def single(book):
    x, y = book.x.astype(np.float32), book.y.astype(np.float32)
    L = book.loss_function(book.parameters, x, y)
    found = book.numerical_gradient(
        lambda t: L(t.astype(np.float32)), book.theta
    )
    shapes = [p.shape for p in book.parameters]
    right = book.gradients["backprop"]
    off = errors(book.unflatten(found, shapes), right)
    # no digit right means an error of 1; a pure chance makes it larger
    return [Noise(off, [2, 2, 2, 2, 0.1, 0.1])]


def bars(book):
    right = book.gradients["backprop"]
    shapes = [g.shape for g in right]
    value, bar = book.gradient_with_error(book.L, book.theta)
    off = np.abs(value - book.flatten(right))
    columns = [norms(book.unflatten(v, shapes)) for v in (value, bar, off)]
    digits = np.floor(np.log10(np.abs(value) / bar))
    return [
        Exact(46, 46),
        *(
            Mixed(Exact(size), Size(b, size), Noise(d, b))
            for size, b, d in zip(*columns)
        ),
        Near([digits.min(), digits.max()], 1),
    ]


def hundred_networks(book):
    outside = 0
    for seed in range(100):
        scale = 10 ** (seed / 33 - 2)
        point = exact.network(seed, (3, 4, 4, 2, 5), scale)
        value, bar = book.gradient_with_error(
            book.loss_function(*point), book.flatten(point[0])
        )
        off = np.abs(value - book.flatten(book.backward(*point)))
        outside += np.sum(off > bar)
    # one in a thousand may be outside
    return [Near([outside, 4600], [4.6, 0])]


class Mixed:
    """A row of several kinds."""

    def __init__(self, *kinds):
        self.kinds = kinds
        self.numbers = np.concatenate([kind.numbers for kind in kinds])


def check_of_ReLUs(book):
    rows = [(24, 10), (6, 10), (18, 10), (3, 11)]
    return [Near(row, [0, 1]) for row in rows]


def check_with_a_mistake(book):
    return [
        Mixed(Exact(24, 24, 3, 1, 0.504, -0.0408), Size(7e-12, 1e-10)),
        Mixed(Exact(6, 6, 1, -0.363, -0.0235), Size(5e-12, 1e-10)),
        Near([18, 10], [0, 1]),
        Near([3, 11], [0, 1]),
    ]


def check_of_the_model(book):
    rows = [(12, 7), (4, 7), (16, 9), (4, 9), (8, 13), (2, 13)]
    return [Near(row, [0, 1]) for row in rows]


# what each ignored cell shows, and the parameters that it names
SHOWN = [
    (one_entry, []),
    (second_network, []),
    (layers, []),
    (lambda book: rounding_errors(book, "autograd"), []),
    (
        lambda book: row_of_errors(
            book, book.gradients["numerical"], bound_of_quotients(book)
        ),
        NAMES,
    ),
    (lambda book: gradient_rows(book, 0, 1), ["W1", "W1", "b1", "b1"]),
    (lambda book: gradient_rows(book, 2, 3), ["W2", "W2", "b2", "b2"]),
    (lambda book: gradient_rows(book, 4, 5), ["W3", "W3", "b3", "b3"]),
    (yardsticks, []),
    (ticks, []),
    (shifted, ["W1"]),
    (lambda book: rounding_errors(book, "complex step"), []),
    (single, []),
    (bars, NAMES),
    (hundred_networks, []),
    (check_of_ReLUs, []),
    (check_with_a_mistake, []),
    (check_of_the_model, []),
]


def rows_of(text):
    """The numbers in each line of a text that has any, as written."""
    rows = [NUMBER.findall(line) for line in text.splitlines()]
    return [row for row in rows if row]


def half_unit(written):
    """Half a unit of the last digit of a number as it is written."""
    mantissa, _, exponent = written.partition("e")
    decimals = len(mantissa.partition(".")[2])
    return 0.5 * 10.0 ** (int(exponent or 0) - decimals)


def as_floats(row):
    return np.array([float(number.replace(",", "")) for number in row])


def assert_row(kind, row, fresh):
    """The written numbers are those of the kind; fresh ones exactly."""
    if isinstance(kind, Mixed):
        for part in kind.kinds:
            count = part.numbers.size
            assert_row(part, row[:count], fresh)
            row = row[count:]
        assert not row
        return
    found = as_floats(row)
    assert found.size == kind.numbers.size, row
    unit = np.array([half_unit(number) for number in row]) * (1 + 1e-9)
    if fresh:
        assert (np.abs(found - kind.numbers) <= unit).all(), row
    if not isinstance(kind, Noise):
        assert (np.abs(found - kind.numbers) <= kind.room + unit).all(), row
        return
    assert (found <= kind.below + unit).all(), row
    if isinstance(kind, Size):
        assert (found <= 10 * kind.numbers).all(), row
        assert (found >= kind.numbers / 10).all(), row
    if found.size >= 4:
        sizes = [np.sqrt(np.mean(v**2)) for v in (found, kind.numbers)]
        assert max(sizes) <= max(10 * min(sizes), kind.one), row


@pytest.fixture(scope="module")
def ignored(code, shown):
    """(text of a run, text stored) of each cell that nbval ignores."""
    return [
        texts
        for cell, texts in zip(code, shown, strict=True)
        if is_ignored(cell)
    ]


@pytest.mark.parametrize("i", range(len(SHOWN)))
@pytest.mark.parametrize("stored", [False, True])
def test_numbers(book, ignored, i, stored):
    assert len(ignored) == len(SHOWN)
    text, (expected, names) = ignored[i][stored], SHOWN[i]
    assert re.findall(r"(?<=dL/d)[Wb][123]", text) == names
    kinds, rows = expected(book), rows_of(text)
    assert len(rows) == len(kinds), text
    for kind, row in zip(kinds, rows):
        # what the last three show is written out, not computed by the run
        assert_row(kind, row, fresh=not stored and i < len(SHOWN) - 3)


@pytest.mark.parametrize("stored", [False, True])
def test_methods_are_named_in_their_order(ignored, stored):
    for i in 5, 6, 7:
        found = re.findall("numerical|backprop", ignored[i][stored])
        assert found in ([*METHODS] * 2, METHODS[:1] * 2, METHODS[1:] * 2, [])


@pytest.mark.parametrize("stored", [False, True])
def test_verdicts_of_the_checks(ignored, stored):
    """What is right is called right, and what is wrong, wrong."""
    texts = [pair[stored].splitlines() for pair in ignored[-3:]]
    for lines, right in zip(texts, (True, False, True)):
        assert lines[-1] == str(right)
    relu, mistaken, model = ([" wrong " in t for t in ts] for ts in texts)
    assert not any(relu) and not any(model)
    assert mistaken == [True, True, False, False, False]
    assert [line[0] for line in texts[0][:-1]] == list("VcWd")
    assert [line[0] for line in texts[1][:-1]] == list("VcWd")
    names = [line.split()[0] for line in texts[2][:-1]]
    kinds = ("weight", "bias")
    assert names == [f"{i}.{kind}" for i in (0, 2, 4) for kind in kinds]


def arrays_in(text):
    """[(first word of the line above, numbers)] of printed arrays."""
    pattern = r"^(\w\S*)[^\n]*\n((?: *\[.*\n?)+)"
    return [
        (name.rstrip(","), NUMBER.findall(numbers))
        for name, numbers in re.findall(pattern, text, re.MULTILINE)
    ]


@pytest.mark.parametrize("stored", [False, True])
def test_outputs_and_gradients_stand_under_their_names(
    book, code, shown, stored
):
    layers = book.forward(book.parameters, book.x)
    names = [f"dL/d{name}" for name in NAMES]
    right = book.gradients["backprop"]
    for piece, labels, arrays in (
        ("a1, a2, output = ", ["a1", "a2", "output"], layers),
        ("torch_layers = ", ["a1", "a2", "output"], layers),
        ("{param.grad", names, right),
    ):
        (text,) = [
            texts[stored]
            for cell, texts in zip(code, shown)
            if piece in cell.source and texts[stored]
        ]
        found = arrays_in(text)
        assert [name for name, _ in found] == labels
        for (_, written), array in zip(found, arrays):
            assert_row(Exact(array), written, fresh=True)


def test_stored_table_is_that_of_the_stored_arrays(ignored):
    """Relative errors, as far as the arrays' digits tell them."""
    (table,) = rows_of(ignored[4][1])
    found = [array for i in (5, 6, 7) for array in arrays_in(ignored[i][1])]
    for i, written in enumerate(table):
        numerical, backprop, _ = (numbers for _, numbers in found[3 * i :][:3])
        size = np.linalg.norm(as_floats(backprop))
        off = np.linalg.norm(as_floats(numerical) - as_floats(backprop))
        units = [half_unit(n) for n in (*numerical, *backprop)]
        room = 2 * np.linalg.norm(units) / size + half_unit(written)
        assert abs(float(written) - off / size) <= room
