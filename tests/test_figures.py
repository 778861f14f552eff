"""The data in the axes of each figure against what its title names."""

import re

import numpy as np
import pytest
from matplotlib.colors import same_color

NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]
norm = np.linalg.norm


def assert_named(axes, words):
    """Each line has a text of its colour, and no word is exchanged."""
    for text, line, word in zip(axes.texts, axes.lines, words):
        assert same_color(text.get_color(), line.get_color())
        assert not any(w in text.get_text() for w in words if w != word)
    colours = [line.get_color() for line in axes.lines]
    assert len(set(colours)) == len(colours) >= len(words)


def rms(array):
    return np.sqrt(np.mean(array**2))


def test_figure_1(book):
    """x = 2, w1 = 1, b1 = ln 3 - 2, w2 = 6, b2 = 0, y = 4."""
    (axes,) = book.figure1.axes
    texts = [text.get_text() for text in axes.texts]
    names, values, derivatives = (texts[i:15:3] for i in range(3))
    assert names == ["$w_1$", "$z$", "$a$", "$f$", r"$\mathcal{L}$"]
    assert values == ["1", f"{np.log(3):.4g}", "0.75", "4.5", "0.125"]
    assert derivatives == ["1.125", "0.5625", "3", "0.5", "1"]
    factors = "".join(texts[17:27:3])
    assert re.findall(r"= (.*?)\$", factors) == ["2", "3/16", "6", "1/2"]
    # values stand above derivatives
    assert axes.texts[1].get_position()[1] > axes.texts[2].get_position()[1]


@pytest.mark.parametrize("panel, name", [(0, "W1"), (1, "W3")])
def test_figure_2(book, panel, name):
    axes = book.figure2.axes[panel]
    assert name in axes.get_title() and axes.get_xlabel()
    assert axes.get_xscale() == axes.get_yscale() == "log"
    i = NAMES.index(name)
    right = book.gradients["backprop"][i]

    def error(h):
        point = book.parameters, book.x, book.y
        found = book.numerical_gradients(*point, h)[i]
        return norm(found - right) / max(norm(found), norm(right))

    *lines, customary = axes.lines
    steps, measured = lines[-1].get_data()
    assert len(steps) >= 20
    assert min(steps) <= 1e-12 and max(steps) >= 0.5
    assert np.allclose(measured, [error(h) for h in steps], rtol=1e-12)
    estimate = 2.0**-53 * book.L(book.theta) / steps / rms(right)
    assert np.allclose(lines[0].get_ydata(), estimate, rtol=1e-12)
    if name == "W1":
        truncation = error(0.1) * (steps / 0.1) ** 2
        assert np.allclose(lines[1].get_ydata(), truncation)
    assert set(customary.get_xdata()) == {1e-5}
    assert_named(axes, ["rounding", "truncation", "measured"][-len(lines) :])


def test_figure_3(book):
    (axes,) = book.figure3.axes
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
    measured = book.figure2.axes[0].lines[2]
    assert same_color(axes.lines[1].get_color(), measured.get_color())


def test_judges(book):
    """They reject what is beyond the limits in their names, and only that."""
    point = book.parameters, book.x, book.y
    shapes = [parameter.shape for parameter in book.parameters]
    n5, n6, n7 = (
        book.numerical_gradient(book.L, book.theta, h)
        for h in (1e-5, 1e-6, 1e-7)
    )
    value, bar = book.gradient_with_error(book.L, book.theta)
    # 1 at the first entry of each gradient
    first = book.flatten([np.eye(1, p.size) for p in book.parameters])
    limits = [
        (n6, first * (1e-5 + 1e-3 * np.abs(n6))),
        (n7, 2e-7 * n7),
        (n5, 1e-5 * n5),
        (n5, first * 1e-7 * n5),
        (value, first * np.maximum(5 * bar, 1e-7 * np.abs(value))),
    ]
    for judge, (g, room) in zip(book.JUDGES.values(), limits, strict=True):
        for factor in 1 - 1e-6, 1 + 1e-6:
            # towards 0, so that g is the larger one of the two
            found = g - factor * np.sign(g) * np.abs(room)
            rejected = judge(book.unflatten(found, shapes), point)
            assert rejected == [factor > 1] * 6


def test_figure_4_and_its_table(book, shown):
    (axes,) = book.figure4.axes
    rows = [text.get_text() for text in axes.get_yticklabels()]
    assert rows[:-1] == [*book.faulty, "right"]
    words = np.empty((len(rows), 5), object)
    for text in axes.texts:
        words[text.get_position()[::-1]] = text.get_text()
    (table,) = [text for text, _ in shown if text.startswith("| mistake")]
    table = [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]
    assert [row[0] for row in table] == list(book.faulty)
    point = book.parameters, book.x, book.y
    right = book.gradients["backprop"]
    for row, (*_, named), backward in zip(words, table, book.faulty.values()):
        found = backward(*point)
        # by more than noise
        spoiled = [norm(a - b) > 1e-9 * norm(b) for a, b in zip(found, right)]
        names = [name for name, bad in zip(NAMES, spoiled) if bad]
        assert named == ("all" if names == NAMES else ", ".join(names))
        for word, judge in zip(row, book.JUDGES.values()):
            rejected = np.array(judge(found, point))[spoiled]
            kind = "found" if rejected.all() else "in part"
            assert word == (kind if rejected.any() else "missed")
    # right gradients, at the sheets' point and near a fit
    assert list(words[-2]) == ["passed"] * 3 + ["rejected", "passed"]
    assert list(words[-1]) == ["passed"] * 2 + ["rejected"] * 2 + ["passed"]
    assert set(words[:-2, -1]) == {"found"}
    judges = [text.get_text() for text in axes.get_xticklabels()]
    assert [" ".join(re.findall(r"\d(?:e-\d)?", j)) for j in judges] == [
        "1e-6 1e-5 1e-3",
        "1e-7 1e-7",
        "1e-5 1e-5",
        "1e-5 1e-7",
        "5 1e-7",
    ]
    # right verdicts have one colour and wrong ones another
    colours = np.reshape(axes.images[0].get_array(), (-1, 3))
    kinds = dict(zip(words.ravel(), map(tuple, colours)))
    assert [kinds[word] for word in words.ravel()] == [*map(tuple, colours)]
    assert kinds["found"] == kinds["passed"]
    assert kinds["missed"] == kinds["rejected"]
    assert len(set(kinds.values())) == 3
