"""The data in the axes of each figure against what its title names."""

import re

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

import exact

NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]
norm = np.linalg.norm


@pytest.fixture(scope="module")
def figures(book):
    """{number in its title: figure}."""
    numbered = {}
    for figure in vars(book).values():
        if isinstance(figure, Figure):
            titles = [axes.get_title() for axes in figure.axes]
            titles.append(figure.get_suptitle())
            (number,) = re.findall(r"Figure (\d)", " ".join(titles))
            numbered[int(number)] = figure
    return numbered


def assert_named(axes, words):
    """Each line has a text of its colour, and no word is exchanged."""
    for text, line, word in zip(axes.texts, axes.lines, words):
        assert same_color(text.get_color(), line.get_color())
        assert not any(w in text.get_text() for w in words if w != word)
    colours = [line.get_color() for line in axes.lines]
    assert len(set(colours)) == len(colours) >= len(words)


def rms(array):
    return np.sqrt(np.mean(array**2))


def test_one_unit(figures):
    """x = 2, w1 = 1, b1 = ln 3 - 2, w2 = 6, b2 = 0, y = 4."""
    (axes,) = figures[1].axes
    rows = {}
    for text in sorted(axes.texts, key=lambda text: text.get_position()):
        height = text.get_position()[1]
        rows.setdefault(height, []).append(text.get_text())
    derivatives, factors, *_, names, _, values = map(
        " ".join, (rows[height] for height in sorted(rows))
    )
    numbers = [
        [float(n) for n in re.findall(r"(?<!\w)-?\d[\d.]*", row)]
        for row in (values, derivatives)
    ]
    assert numbers[0] == [1, round(np.log(3), 3), 3 / 4, 9 / 2, 1 / 8]
    assert numbers[1] == [9 / 8, 9 / 16, 3, 1 / 2, 1]
    assert names == r"$w_1$ $z$ $a$ $f$ $\mathcal{L}$"
    ratios = [a / b for a, b in zip(numbers[1], numbers[1][1:])]
    found = re.findall(r"= (\d+)(?:/(\d+))?\$", factors)
    assert ratios == [int(a) / int(b or 1) for a, b in found]


def test_error_against_the_step(book, figures):
    panels = figures[2].axes
    point = book.parameters, book.x, book.y
    for axes, name in zip(panels, ["W1", "W3"], strict=True):
        assert name in axes.get_title() and axes.get_xlabel()
        assert axes.get_xscale() == axes.get_yscale() == "log"
        i = NAMES.index(name)
        right = book.gradients["backprop"][i]

        def error(h, i=i, right=right):
            found = book.numerical_gradients(*point, h)[i]
            return norm(found - right) / max(norm(found), norm(right))

        *lines, customary = axes.lines
        steps, measured = lines[-1].get_data()
        assert len(steps) >= 20
        assert min(steps) <= 1e-12 and max(steps) >= 0.5
        assert np.allclose(measured, [error(h) for h in steps], rtol=1e-12)
        h, rounding = lines[0].get_data()
        estimate = 2.0**-53 * book.L(book.theta) / h / rms(right)
        assert np.allclose(rounding, estimate, rtol=1e-12)
        if name == "W1":
            h, truncation = lines[1].get_data()
            assert np.allclose(truncation, error(0.1) * (h / 0.1) ** 2)
        assert set(customary.get_xdata()) == {1e-5}
        assert_named(
            axes, ["rounding", "truncation", "measured"][-len(lines) :]
        )
    assert panels[0].get_ylabel()


def test_sizes(book, figures):
    (axes,) = figures[3].axes
    assert axes.get_yscale() == "log" and axes.get_ylabel()
    assert [t.get_text() for t in axes.get_xticklabels()] == NAMES
    right, found = book.gradients["backprop"], book.gradients["numerical"]
    sizes, errors = (line.get_ydata() for line in axes.lines)
    assert np.allclose(sizes, [rms(g) for g in right])
    assert np.allclose(errors, [rms(a - b) for a, b in zip(found, right)])
    assert_named(axes, ["gradient", "error"])
    places = [text.get_position()[1] for text in axes.texts]
    assert places == [sizes[-1], errors[-1]]
    # errors have one colour in all figures
    measured = figures[2].axes[0].lines[2]
    assert same_color(axes.lines[1].get_color(), measured.get_color())


def test_table_of_mistakes(book, shown):
    right = book.gradients["backprop"]
    for texts in zip(*shown):  # of the run, and as stored
        (table,) = [text for text in texts if text.startswith("| mistake")]
        rows = [row.split(" | ") for row in table.splitlines()[2:]]
        assert [row[0].strip("| ") for row in rows] == list(book.faulty)
        for (*_, column), backward in zip(rows, book.faulty.values()):
            found = backward(book.parameters, book.x, book.y)
            # by more than noise
            wrong = [
                name
                for name, a, b in zip(NAMES, found, right)
                if norm(a - b) > 1e-9 * norm(b)
            ]
            named = re.findall(r"[Wb]\d", column)
            assert wrong == (NAMES if "all" in column else named)


def rejections(book, found, point):
    """For each judge, for each of six gradients, whether it is rejected."""
    L, theta = book.loss_function(*point), book.flatten(point[0])
    g = book.flatten(found)
    shapes = [gradient.shape for gradient in found]

    def quotients(h):
        return book.numerical_gradient(L, theta, h)

    def of_arrays(entries):
        return [part.any() for part in book.unflatten(entries, shapes)]

    def larger(a, b):
        return np.maximum(np.abs(a), np.abs(b))

    n5, n6, n7 = (quotients(h) for h in (1e-5, 1e-6, 1e-7))
    value, bar = book.gradient_with_error(L, theta)
    return [
        of_arrays(np.abs(g - n6) > 1e-5 + 1e-3 * np.abs(n6)),
        [norm(g - n7) > 1e-7 * (norm(g) + norm(n7))] * 6,
        [
            norm(a - b) > 1e-5 * max(norm(a), norm(b))
            for a, b in zip(found, book.unflatten(n5, shapes))
        ],
        of_arrays(np.abs(g - n5) > 1e-7 * larger(g, n5)),
        of_arrays(
            np.abs(g - value) > np.maximum(5 * bar, 1e-7 * larger(g, value))
        ),
    ]


def test_judges(book, monkeypatch):
    """Their steps and limits are those in their names."""
    steps = []

    def numerical_gradients(*point, h=1e-5):
        steps.append(h)
        return book.numerical_gradients(*point, h)

    names = book.backward.__globals__
    monkeypatch.setitem(names, "numerical_gradients", numerical_gradients)
    point = exact.network(1, (3, 5, 4, 2, 6))
    right = book.backward(*point)
    first = [np.eye(g.size)[0].reshape(g.shape) for g in right]
    for off in 0, 1.5e-7, 3e-7, 1.5e-5, 1.5e-3:
        for found in (
            [g * (1 + off) for g in right],
            [g * (1 + off * e) for g, e in zip(right, first)],
            [g + off for g in right],
        ):
            judged = [judge(found, point) for judge in book.JUDGES.values()]
            assert judged == rejections(book, found, point)
    numbers = [re.findall(r"\d(?:e-\d)?", name) for name in book.JUDGES]
    assert numbers == [
        ["1e-6", "1e-5", "1e-3"],
        ["1e-7", "1e-7"],
        ["1e-5", "1e-5"],
        ["1e-5", "1e-7"],
        ["5", "1e-7"],
    ]
    assert steps[:4] == [float(h) for h, *_ in numbers[:4]]


def test_mistakes_and_judges(book, figures):
    (axes,) = figures[4].axes
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[:-1] == [*book.faulty, "right"]
    words = np.empty((len(rows), 5), object)
    for text in axes.texts:
        words[text.get_position()[::-1]] = text.get_text()
    point = book.parameters, book.x, book.y
    right = book.gradients["backprop"]
    functions = [*book.faulty.values(), book.backward]
    for row, backward in zip(words, functions):
        found = backward(*point)
        wrong = [norm(a - b) > 1e-9 * norm(b) for a, b in zip(found, right)]
        for word, rejected in zip(row, rejections(book, found, point)):
            caught = [r for r, bad in zip(rejected, wrong) if bad]
            if not caught:
                assert word == ("rejected" if any(rejected) else "passed")
            elif all(caught):
                assert word == "found"
            else:
                assert word == ("in part" if any(caught) else "missed")
    # near a fit, and by the error bars
    assert list(words[-1, 2:4]) == ["rejected"] * 2
    assert list(words[:, -1]) == ["found"] * 10 + ["passed"] * 2
    judges = [text.get_text() for text in axes.get_xticklabels()]
    assert judges == list(book.JUDGES)
    # right verdicts have one colour and wrong ones another
    colours = np.reshape(axes.images[0].get_array(), (-1, 3))
    pairs = set(zip(words.ravel(), map(tuple, colours)))
    kinds = dict(pairs)
    assert len(pairs) == len(kinds) and len(set(kinds.values())) == 3
    assert kinds["found"] == kinds["passed"]
    assert kinds["missed"] == kinds["rejected"]
