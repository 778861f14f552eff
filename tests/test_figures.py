"""The data in the axes of each figure against what its title names."""

import re

import numpy as np
import pytest
from matplotlib.colors import same_color, to_rgb
from matplotlib.figure import Figure

NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]


@pytest.fixture(scope="module")
def figures(book):
    """{number in its title: figure}."""
    numbered = {}
    for figure in vars(book).values():
        if isinstance(figure, Figure):
            titles = [figure.get_suptitle()]
            titles += [axes.get_title() for axes in figure.axes]
            (number,) = re.findall(r"Figure (\d)", " ".join(titles))
            numbered[int(number)] = figure
    return numbered


def texts(axes):
    """(text, place) of all texts in the axes, from left to right."""
    found = [(t.get_text(), *t.get_position()) for t in axes.texts]
    return sorted(found, key=lambda text: text[1])


def lines(axes):
    """(x, y, colour) of the lines in the axes."""
    return [(*line.get_data(), line.get_color()) for line in axes.lines]


def root_mean_square(array):
    return np.sqrt(np.mean(array**2))


def assert_not_exchanged(labels, words):
    """The word of a label, if it is used at all, is in its place."""
    for i, word in enumerate(words):
        places = [j for j, label in enumerate(labels) if word in label]
        assert places in ([], [i])


def test_one_unit(figures):
    """x = 2, w1 = 1, b1 = ln 3 - 2, w2 = 6, b2 = 0, y = 4."""
    (axes,) = figures[1].axes
    rows = {}
    for text, x, y in texts(axes):
        rows.setdefault(y, []).append((text, x))
    numbers = [
        [float(text) for text, _ in row if re.fullmatch(r"[\d.]+", text)]
        for _, row in sorted(rows.items())
    ]
    derivatives, values = (row for row in numbers if row)
    assert values == [1, round(np.log(3), 3), 3 / 4, 9 / 2, 1 / 8]
    assert derivatives == [9 / 8, 9 / 16, 3, 1 / 2, 1]
    joined = " ".join(text for text, *_ in texts(axes))
    names = re.findall(r"\$(\w_?\d?|\\mathcal\{L\})\$", joined)
    assert names == ["w_1", "z", "a", "f", r"\mathcal{L}"]
    factors = re.findall(r"= (\d+(?:/\d+)?)\$", joined)
    values = [eval(factor) for factor in factors]
    for i, factor in enumerate(values):
        assert derivatives[i] == derivatives[i + 1] * factor


def test_error_against_the_step(book, figures):
    panels = figures[2].axes
    point = book.parameters, book.x, book.y
    # u L / h, u = 2^-53
    for axes, name in zip(panels, ["W1", "W3"], strict=True):
        assert re.search(name, axes.get_title())
        assert axes.get_xscale() == axes.get_yscale() == "log"
        assert axes.get_xlabel()
        i = NAMES.index(name)
        right = book.gradients["backprop"][i]

        def off(h, i=i, right=right):
            found = book.numerical_gradients(*point, h)[i]
            norms = [np.linalg.norm(a) for a in (found, right)]
            return np.linalg.norm(found - right) / max(norms)

        measured = [d for d in lines(axes) if len(d[0]) > 2][-1]
        assert len(measured[0]) >= 20
        assert min(measured[0]) <= 1e-12 and max(measured[0]) >= 0.5
        for h, error, _ in zip(*measured[:2], measured[0]):
            assert np.isclose(error, off(h), rtol=1e-12)
        rounding = lines(axes)[0]
        size = root_mean_square(right)
        estimate = 2.0**-53 * book.L(book.theta) / rounding[0] / size
        assert np.allclose(rounding[1], estimate, rtol=1e-12)
        # the customary step is marked
        assert any(set(x) == {1e-5} for x, *_ in lines(axes))
        # each line's name has its colour, and nothing else does
        colours = [t.get_color() for t in axes.texts[:-1]]
        drawn = [line.get_color() for line in axes.lines[:-1]]
        assert colours == drawn and len(set(drawn)) == len(drawn)
    truncation = lines(panels[0])[1]
    assert np.allclose(
        truncation[1],
        book.relative_error(
            book.numerical_gradients(*point, 0.1)[0],
            book.gradients["backprop"][0],
        )
        * (truncation[0] / 0.1) ** 2,
        rtol=1e-12,
    )
    words = [t.get_text() for t in panels[0].texts]
    assert_not_exchanged(words, ["rounding", "truncation", "measured"])
    # far right, the measured error follows the truncation
    assert np.isclose(lines(panels[0])[2][1][-3], truncation[1][-3], rtol=0.1)
    assert panels[0].get_ylabel()


def test_sizes(book, figures):
    (axes,) = figures[3].axes
    assert axes.get_yscale() == "log" and axes.get_ylabel()
    assert [t.get_text() for t in axes.get_xticklabels()] == NAMES
    right, found = book.gradients["backprop"], book.gradients["numerical"]
    sizes, errors = lines(axes)
    assert np.allclose(sizes[1], [root_mean_square(g) for g in right])
    assert np.allclose(
        errors[1], [root_mean_square(a - b) for a, b in zip(found, right)]
    )
    assert_not_exchanged([t.get_text() for t in axes.texts], [" ", "error"])
    for text, (_, y, colour) in zip(axes.texts, (sizes, errors), strict=True):
        assert same_color(text.get_color(), colour)
        assert text.get_position()[1] == y[-1]


@pytest.fixture(scope="module")
def grid(figures):
    """{row: [(word, colour) of each judge]}, and the judges."""
    (axes,) = figures[4].axes
    (image,) = axes.images
    colours = image.get_array()
    rows = [t.get_text() for t in axes.get_yticklabels()]
    judges = [t.get_text() for t in axes.get_xticklabels()]
    cells = {row: [None] * len(judges) for row in rows}
    for text in axes.texts:
        x, y = text.get_position()
        cells[rows[y]][x] = text.get_text(), tuple(colours[y, x])
    return cells, judges


def mistaken_gradients(book):
    """Gradients with each of the ten mistakes, written out, in order."""
    W1, b1, W2, b2, W3, b3 = book.parameters
    x, y = book.x, book.y
    a1, a2, output = book.forward(book.parameters, x)
    M = x.shape[1]

    def gradients(
        d3=None, slope2=a2 * (1 - a2), slope1=a1 * (1 - a1), W=W2.T, **other
    ):
        d3 = (output - y) / M if d3 is None else d3
        d2 = (W3.T @ d3) * slope2
        d1 = (W @ d2) * slope1
        right = {
            "W1": d1 @ x.T,
            "b1": d1.sum(axis=1),
            "W2": d2 @ other.get("inputs2", a1).T,
            "b2": d2.sum(axis=1),
            "W3": d3 @ other.get("inputs3", a2).T,
            "b3": d3.sum(axis=1),
        }
        if "mean" in other:
            right["b1"] = d1.mean(axis=1)
        return list(right.values())

    return [
        gradients(slope1=0.25),
        gradients(slope2=0.25),
        gradients(W=W2),
        gradients(inputs2=a2),
        gradients(mean=True),
        gradients(d3=(output - y) / (2 * M)),
        gradients(slope1=a1),
        gradients(slope1=0),
        gradients(inputs3=a1),
        gradients(d3=output - y),
    ]


def rejections(book, point, found):
    """For each judge, for each of six gradients, whether it is rejected."""
    L, theta = book.loss_function(*point), book.flatten(point[0])
    shapes = [g.shape for g in found]

    def quotients(h):
        return book.unflatten(book.numerical_gradient(L, theta, h), shapes)

    def entries(a, b):
        return np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))

    def pairs(h):
        return list(zip(found, quotients(h), strict=True))

    whole, other = book.flatten(found), book.flatten(quotients(1e-7))
    in_one = np.linalg.norm(whole - other)
    in_one /= np.linalg.norm(whole) + np.linalg.norm(other)
    value, bar = book.gradient_with_error(L, theta)
    size = np.maximum(np.abs(value), np.abs(whole))
    outside = np.abs(value - whole) > np.maximum(5 * bar, 1e-7 * size)
    return [
        [
            (np.abs(a - b) > 1e-5 + 1e-3 * np.abs(b)).any()
            for a, b in pairs(1e-6)
        ],
        [in_one > 1e-7] * 6,
        [
            np.linalg.norm(a - b)
            > 1e-5 * max(np.linalg.norm(a), np.linalg.norm(b))
            for a, b in pairs(1e-5)
        ],
        [(entries(a, b) > 1e-7).any() for a, b in pairs(1e-5)],
        [part.any() for part in book.unflatten(outside, shapes)],
    ]


def spoiled(found, right):
    """For each of six gradients, whether it is off by more than noise."""
    return [
        np.abs(a - b).max() > 1e-9 * np.abs(b).max()
        for a, b in zip(found, right)
    ]


def test_table_of_mistakes(book, shown):
    right = book.gradients["backprop"]
    for texts in zip(*shown):  # of the run, and as stored
        (table,) = [text for text in texts if text.startswith("| mistake")]
        columns = [row.split(" | ")[-1] for row in table.splitlines()[2:]]
        for column, found in zip(
            columns, mistaken_gradients(book), strict=True
        ):
            named = NAMES if "all" in column else re.findall(r"\w\d", column)
            wrong = spoiled(found, right)
            assert named == [n for n, bad in zip(NAMES, wrong) if bad]


def test_mistakes_and_judges(book, grid):
    cells, judges = grid
    point = book.parameters, book.x, book.y
    right = book.gradients["backprop"]
    *mistakes, last, near = cells.values()
    for row, found in zip(mistakes, mistaken_gradients(book), strict=True):
        wrong = spoiled(found, right)
        for (word, _), rejected in zip(row, rejections(book, point, found)):
            caught = [r for r, bad in zip(rejected, wrong) if bad]
            some = "in part" if any(caught) else "missed"
            assert word == ("found" if all(caught) else some)
    words = {True: "rejected", False: "passed"}
    verdicts = [words[any(r)] for r in rejections(book, point, right)]
    assert [word for word, _ in last] == verdicts
    # all ten are found and both right gradients pass, by the error bars
    assert [row[-1][0] for row in mistakes] == ["found"] * 10
    assert last[-1][0] == near[-1][0] == "passed"
    assert [word for word, _ in near][2:4] == ["rejected"] * 2
    kinds = ["gradcheck", "vector", "array", "entry", "bar"]
    assert_not_exchanged(judges, kinds)
    numbers = [re.findall(r"\d(?:e-\d)?", judge) for judge in judges]
    assert numbers == [
        ["1e-6", "1e-5", "1e-3"],
        ["1e-7", "1e-7"],
        ["1e-5", "1e-5"],
        ["1e-5", "1e-7"],
        ["5", "1e-7"],
    ]


def test_right_verdicts_have_one_colour_and_wrong_ones_another(grid):
    cells, _ = grid
    kinds = {}
    for row in cells.values():
        for word, colour in row:
            kinds.setdefault(word, set()).add(colour)
    assert all(len(colours) == 1 for colours in kinds.values())
    assert kinds["found"] == kinds["passed"]
    assert kinds["missed"] == kinds["rejected"] != kinds["found"]
    assert kinds["in part"] not in (kinds["found"], kinds["missed"])


def test_the_same_thing_has_the_same_colour(figures):
    measured = figures[2].axes[0].lines[2].get_color()
    assert same_color(measured, figures[3].axes[0].lines[1].get_color())
    assert to_rgb(measured) != to_rgb(figures[3].axes[0].lines[0].get_color())
