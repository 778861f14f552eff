"""Each figure draws the data that it names."""

import numpy as np
import pytest
from conftest import stored_texts
from matplotlib.colors import same_color, to_rgb
from references import sheet_point

FIGURES = {
    "network_figure": "Figure 1: two hidden layers of sigmoid units",
    "unit_figure": "Figure 2: values go forward, derivatives come back",
    "ruler_figure": "Figure 3: a computed loss lies on a tick",
    "step_figure": "Figure 4: rounding and truncation against the step",
    "size_figure": "Figure 5: the gradients differ in size",
    "verdict_figure": "Figure 6: which judges find which mistakes",
    "bound_figure": "Figure 7: the bound lies above the error",
}
NAMES = ["W1", "b1", "W2", "b2", "W3", "b3"]


def texts(axes):
    """{text: its artist} of all text inside the axes."""
    return {text.get_text(): text for text in axes.texts}


def contrast(color):
    """Contrast of a colour on white, by the W3C's formula."""
    channels = np.array(to_rgb(color))
    low = channels <= 0.04045
    linear = np.where(
        low, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4
    )
    return 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05)


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_has_a_title_and_can_be_read(appendix, name):
    figure = getattr(appendix.names, name)
    assert figure.get_suptitle().startswith(FIGURES[name])
    assert figure.get_figwidth() <= 7.2
    for axes in figure.axes:
        if axes.axison and axes.get_ylim() and len(axes.get_yticks()):
            words = axes.get_ylabel() + "".join(
                label.get_text() for label in axes.get_yticklabels()
            )
            assert words
        for text in axes.texts:
            color = text.get_color()
            assert text.get_fontsize() >= 8
            if not same_color(color, "white"):
                assert contrast(color) >= 4.5, text.get_text()
            else:  # on a box of its own
                boxes = [
                    p for p in axes.patches if contrast(p.get_fc()) >= 4.5
                ]
                assert boxes


@pytest.mark.parametrize("name", FIGURES)
def test_it_is_shown_with_its_text_and_once(appendix, code, name):
    cells = [c for c in code if f"show_figure(\n    {name}," in c.source]
    (cell,) = cells
    (output,) = [
        o for o in cell.outputs if "image/png" in o.get("data", {})
    ]
    alt = output.metadata["image/png"]["alt"]
    assert len(alt) > 60 and f"Figure: {alt}" in stored_texts(cell)
    fresh, _ = appendix.show(f"show_figure(\n    {name},")
    assert f"Figure: {alt}" in fresh


def test_the_network(appendix):
    (axes,) = appendix.names.network_figure.axes
    parameters, _, _ = sheet_point()
    labels = texts(axes)
    for layer in range(3):
        W, b = parameters[2 * layer : 2 * layer + 2]
        text = f"W{layer + 1} {W.shape}\nb{layer + 1} {b.shape}"
        assert labels[text].get_position()[0] == layer + 0.5
    layers = [collection.get_offsets() for collection in axes.collections]
    assert [len(layer) for layer in layers] == [3, 4, 4, 2]
    for layer in layers:  # around the middle, one apart
        assert (
            layer[:, 1].sum() == 0 and (np.diff(layer[:, 1]) == 1).all()
        )
    assert [layer[0, 0] for layer in layers] == [0, 1, 2, 3]
    blue = [
        same_color(c.get_facecolor()[0], appendix.names.BLUE)
        for c in axes.collections
    ]
    assert blue == [False, True, True, False]
    assert len(axes.lines) == 3 * 4 + 4 * 4 + 4 * 2
    kinds = [
        "3 inputs",
        "4 sigmoid units",
        "4 sigmoid units",
        "2 linear outputs",
    ]
    shown = sorted(
        (t.get_position()[0], t.get_text().split("\n")[1])
        for t in axes.texts
        if "inputs" in t.get_text()
        or "units" in t.get_text()
        or "outputs" in t.get_text()
    )
    assert [kind for _, kind in shown] == kinds


def test_the_unit_in_numbers(appendix):
    (axes,) = appendix.names.unit_figure.axes
    x, w1, b1, w2, y = 2, 1, -2, 3, 1
    z = w1 * x + b1
    a = 1 / (1 + np.exp(-z))
    f = w2 * a
    values = [w1, z, a, f, (f - y) ** 2 / 2]
    slope = a * (1 - a)
    derivatives = [
        (f - y) * w2 * slope * x,
        (f - y) * w2 * slope,
        (f - y) * w2,
        f - y,
        1,
    ]

    def fractions(color):
        shown = [
            (t.get_position()[0], t.get_text())
            for t in axes.texts
            if same_color(t.get_color(), color)
            and t.get_text()[0].isdigit()
        ]
        return [
            float(top) / float(bottom or 1)
            for top, _, bottom in (
                s.partition("/") for _, s in sorted(shown)
            )
        ]

    assert fractions(appendix.names.BLUE) == values
    assert fractions(appendix.names.ORANGE) == derivatives
    factors = sorted(
        (t.get_position()[0], t.get_text())
        for t in axes.texts
        if t.get_text().startswith("times")
    )
    assert [text.split("$")[1] for _, text in factors] == [
        "x = 2",
        r"\sigma' = 1/4",
        "w_2 = 3",
        "f - y = 1/2",
    ]


def test_the_ruler(appendix):
    names = appendix.names
    parameters, x, y = sheet_point()
    theta = names.flatten(parameters)
    k = np.abs(names.flatten(names.backward(parameters, x, y))).argmin()
    panels = names.ruler_figure.axes
    assert [p.get_title(loc="left") for p in panels] == [
        r"loss with $\theta_k + h$, for the smallest entry",
        r"loss with $\theta_k - h$, for the smallest entry",
    ]
    offs = []
    for sign, axes in zip((1, -1), panels):
        moved = theta + sign * 1e-5 * np.eye(46)[k]
        computed = names.L(moved)
        exact = names.true_loss(moved, names.shapes, x, y)
        off = float(
            (names.Decimal(float(computed)) - exact)
            / names.Decimal(2.0**-52)
        )
        computed_dot, exact_dot = axes.lines
        assert (
            computed_dot.get_xdata()[0],
            computed_dot.get_ydata()[0],
        ) == (0, 0)
        assert exact_dot.get_xdata()[0] == pytest.approx(-off)
        labels = texts(axes)
        assert same_color(
            labels["computed"].get_color(), computed_dot.get_color()
        )
        label = labels[f"exact, {abs(off):.3f} ticks away"]
        assert same_color(label.get_color(), exact_dot.get_color())
        assert label.get_position()[0] == pytest.approx(-off)
        marks = sorted(
            c.get_segments()[0][0][0] for c in axes.collections
        )
        np.testing.assert_allclose(marks, sorted([0, -off]))
        ticks = axes.get_xticks()
        assert (np.diff(ticks) == 1).all() and 0 in ticks
        low, high = axes.get_xlim()
        assert low < -off < high
        offs.append(off)
    # the error of the difference is that of the smallest entry
    assert offs[0] - offs[1] == pytest.approx(
        names.errors_in_q[k], abs=0.01
    )
    assert "ticks" in panels[1].get_xlabel()


def test_the_error_against_the_step(appendix):
    names = appendix.names
    panels = names.step_figure.axes
    right = names.gradients["backprop"]
    steps = np.logspace(-13, 0, 40)
    assert [p.get_title(loc="left") for p in panels] == [
        "gradient with respect to W1",
        "gradient with respect to W3",
    ]
    assert panels[1].get_xlabel() == "step h"
    for axes, i in zip(panels, (0, 4)):
        lines = {line.get_label(): line for line in axes.lines}
        norm = np.linalg.norm(right[i])
        measured = lines["measured"]
        np.testing.assert_allclose(measured.get_xdata(), steps)
        for k in (3, 14, 24, 31, 38):
            found = names.unflatten(
                names.numerical_gradient(names.L, names.theta, steps[k]),
                names.shapes,
            )[i]
            larger = max(np.linalg.norm(found), norm)
            error = max(np.linalg.norm(found - right[i]) / larger, 1e-17)
            assert measured.get_ydata()[k] == pytest.approx(error)
        p = right[i].size
        rounding = np.sqrt(p) * 2.0**-53 * names.loss / steps / norm
        np.testing.assert_allclose(lines["rounding"].get_xdata(), steps)
        np.testing.assert_allclose(
            lines["rounding"].get_ydata(), rounding
        )
        labels = texts(axes)
        pairs = {
            "measured": "measured",
            "rounding (estimate)": "rounding",
        }
        if i == 0:
            third = names.third_derivatives["W1"]
            truncation = steps**2 / 6 * third / norm
            np.testing.assert_allclose(
                lines["truncation"].get_xdata(), steps
            )
            np.testing.assert_allclose(
                lines["truncation"].get_ydata(), truncation
            )
            pairs["truncation (estimate)"] = "truncation"
            # the dots follow the sum of both
            both = rounding + truncation
            middle = slice(12, 36)
            factor = measured.get_ydata()[middle] / both[middle]
            assert ((factor > 0.05) & (factor < 5)).all()
            best = np.cbrt(3 * np.sqrt(p) * 2.0**-53 * names.loss / third)
            assert f"best step {names.scientific(best, 2)}" in labels
        else:
            assert "truncation" not in lines
            assert "no truncation:\nthe loss is quadratic in W3" in labels
        for label, name in pairs.items():
            assert same_color(
                labels[label].get_color(), lines[name].get_color()
            )
        assert (
            len(
                {
                    line.get_marker() + line.get_linestyle()
                    for line in lines.values()
                }
            )
            >= 3
        )
        marks = sorted(
            line.get_xdata()[0]
            for line in axes.lines
            if line.get_xdata()[0] == line.get_xdata()[-1]
        )
        expected = [1e-5, best] if i == 0 else [1e-5]
        np.testing.assert_allclose(marks, expected)
        assert "customary step 1e-5" in labels


def test_the_sizes(appendix):
    names = appendix.names
    (axes,) = names.size_figure.axes
    right = names.gradients["backprop"]
    found = names.gradients["numerical"]
    sizes = [np.sqrt(np.mean(g**2)) for g in right]
    errors = [
        np.sqrt(np.mean((n - g) ** 2)) for n, g in zip(found, right)
    ]
    dots, squares = axes.lines
    np.testing.assert_allclose(dots.get_ydata(), sizes)
    np.testing.assert_allclose(squares.get_ydata(), errors)
    for line in (dots, squares):
        np.testing.assert_array_equal(line.get_xdata(), range(6))
    labels = texts(axes)
    for text, line, values in (
        ("gradient", dots, sizes),
        ("error of the\nnumerical\ngradient", squares, errors),
    ):
        assert same_color(labels[text].get_color(), line.get_color())
        assert labels[text].get_position()[1] == values[5]
    shown = {
        round(t.get_position()[0]): t.get_text().split()[-1]
        for t in axes.texts
        if same_color(t.get_color(), "black")
    }
    for i in range(6):
        assert float(shown[i]) == pytest.approx(
            errors[i] / sizes[i], rel=0.051
        )
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert ticks == [f"dL/d{name}" for name in NAMES]


def read_grid(names):
    """{judge: {row: word}} as drawn, and the colours of the cells."""
    (axes,) = names.verdict_figure.axes
    judges = [label.get_text() for label in axes.get_xticklabels()]
    rows = [label.get_text() for label in axes.get_yticklabels()]
    grid, colors = {}, {}
    for text in axes.texts:
        x, y = (int(v) for v in text.get_position())
        grid.setdefault(judges[x], {})[rows[y]] = text.get_text()
    for box in axes.patches:
        colors[judges[int(box.get_x())], rows[int(box.get_y())]] = (
            box.get_fc()
        )
    return grid, colors, judges, rows


def test_the_grid_shows_the_verdicts(appendix):
    names = appendix.names
    grid, colors, judges, rows = read_grid(names)
    assert grid == names.words
    assert len(judges) == 7 and len(rows) == 12
    assert set(rows[:10]) == set(names.FAULTS)
    assert rows[10:] == ["right", "right, near a fit"]
    right = {"found", "passed", "harmless"}
    for (judge, row), color in colors.items():
        word = grid[judge][row]
        expected = names.ORANGE
        if word in right:
            expected = names.BLUE
        if word == "in part":
            expected = names.PALE
        assert same_color(color, expected)
    assert len(colors) == 84

    def score(words):
        return sum(word in right for word in words) + 0.5 * words.count(
            "in part"
        )

    by_judge = [score(list(grid[judge].values())) for judge in judges]
    by_row = [score([grid[j][row] for j in judges]) for row in rows[:10]]
    assert by_judge == sorted(by_judge) and by_row == sorted(by_row)


def independent_verdict(judge, found, numerical, taylor):
    """Which of six gradients a judge rejects, from its description."""
    kind, h, limit = judge.split("\n")
    if kind == "Taylor":
        return [order < float(limit.split()[1]) for order in taylor]
    n = numerical[float(h.split("= ")[1])]
    limit = float(limit.split()[-1])
    if kind == "gradcheck":
        return [
            (np.abs(g - m) > limit + 1e-3 * np.abs(m)).any()
            for g, m in zip(found, n)
        ]
    if kind == "vector":
        g, m = (
            np.concatenate([a.ravel() for a in x]) for x in (found, n)
        )
        length = np.linalg.norm
        return [length(g - m) / (length(g) + length(m)) > limit] * 6
    if kind == "entry":
        return [
            (np.abs(g - m) / np.maximum(np.abs(g), np.abs(m))).max()
            > limit
            for g, m in zip(found, n)
        ]
    assert kind == "norm"
    length = np.linalg.norm
    return [
        length(g - m) / max(length(g), length(m)) > limit
        for g, m in zip(found, n)
    ]


def taylor_orders(names, found, point):
    """Orders of the remainder in a direction for each of the parameters."""
    f = names.loss_function(*point)
    theta = names.flatten(point[0])
    orders, start = [], 0
    for gradient in found:
        v = np.cos(np.arange(theta.size))
        v[:start] = 0
        v[start + gradient.size :] = 0
        start += gradient.size
        slope = np.concatenate([g.ravel() for g in found]) @ v
        r = [
            abs(f(theta + t * v) - f(theta) - t * slope)
            for t in (1e-3, 5e-4)
        ]
        orders.append(np.log2(r[0] / r[1]))
    return orders


def test_the_verdicts_are_those_of_the_judges(appendix):
    names = appendix.names
    grid, *_ = read_grid(names)
    points = {
        "right": sheet_point(),
        "right, near a fit": names.right_points["right, near a fit"],
    }
    for row in next(iter(grid.values())):
        function = names.faulty.get(row, names.backward)
        point = points.get(row, sheet_point())
        right = names.backward(*point)
        found = function(*point)
        wrong = [not np.array_equal(f, r) for f, r in zip(found, right)]
        f = names.loss_function(*point)
        theta = names.flatten(point[0])
        numerical = {
            h: names.unflatten(
                names.numerical_gradient(f, theta, h), names.shapes
            )
            for h in (1e-3, 1e-5, 1e-6, 1e-7)
        }
        taylor = taylor_orders(names, found, point)
        for judge, words in grid.items():
            rejected = independent_verdict(
                judge, found, numerical, taylor
            )
            if row in points:
                expected = "rejected" if any(rejected) else "passed"
            else:
                verdicts = [r for r, w in zip(rejected, wrong) if w]
                expected = "in part" if any(verdicts) else "missed"
                expected = "found" if all(verdicts) else expected
            assert words[row] == expected, (judge, row)


STRENGTH = {  # relative error that is just rejected; each judge's step
    "gradcheck\nh = 1e-6\na = 1e-5": (1e-3 + 1e-5, 1e-6),
    "gradcheck\nh = 1e-6\na = 1e-9": (1e-3 + 1e-9, 1e-6),
    "vector\nh = 1e-7\nlimit 2e-7": (4e-7, 1e-7),
    "entry\nh = 1e-5\nlimit 1e-4": (1e-4, 1e-5),
    "norm\nh = 1e-5\nlimit 1e-6": (1e-6, 1e-5),
    "norm\nh = 1e-3\nlimit 1e-6": (1e-6, 1e-3),
}


@pytest.mark.parametrize("judge", STRENGTH)
def test_a_judge_is_as_strict_as_its_heading_says(appendix, judge):
    names = appendix.names
    point = sheet_point()
    shapes = [p.shape for p in point[0]]
    # another numerical gradient for each step, of which one is looked at
    sizes = {1e-3: 2.0, 1e-5: 3.0, 1e-6: 1.0, 1e-7: 5.0}
    numerical = {
        h: [np.full(shape, size) for shape in shapes]
        for h, size in sizes.items()
    }
    limit, h = STRENGTH[judge]
    for factor, rejects in ((1.01, True), (0.99, False)):
        found = [n * (1 + factor * limit) for n in numerical[h]]
        if judge.startswith(("entry", "norm")):  # relative to the larger
            found = [n / (1 - factor * limit) for n in numerical[h]]
        verdicts = names.customary_verdicts(found, numerical, *point)
        assert verdicts[judge] == [rejects] * 6
    # the same limit for entries that are 0 next to one that is off
    error = np.zeros(shapes[0])
    error[0, 0] = 1
    base = numerical[h]
    found = [base[0] * (1 + 20 * limit * error), *base[1:]]
    verdicts = names.customary_verdicts(found, numerical, *point)
    everywhere = judge.startswith("vector")
    assert verdicts[judge] == [True, *[everywhere] * 5]


def test_the_taylor_test_is_as_strict_as_its_heading_says(
    appendix, monkeypatch
):
    names = appendix.names
    point = sheet_point()
    f, theta = names.L, names.theta
    found = names.backward(*point)
    rejects = names.taylor_rejects
    for order, expected in ((1.91, False), (1.89, True)):
        monkeypatch.setitem(
            rejects.__globals__,
            "taylor_order",
            lambda *_, order=order: order,
        )
        assert rejects(f, theta, found, 1e-3) == [expected] * 6


def test_pytorchs_gradcheck_gives_the_verdicts_of_its_judge(appendix):
    """The real torch.autograd.gradcheck on every mistake, by gradient."""
    names = appendix.names
    torch = names.torch
    parameters, x, y = sheet_point()

    class Loss(torch.autograd.Function):
        """The loss, with the gradients of a backward pass to be checked."""

        @staticmethod
        def forward(ctx, function, *tensors):
            arrays = [t.detach().numpy() for t in tensors]
            ctx.found = [*map(torch.tensor, function(arrays, x, y))]
            output = names.forward(arrays, x)[-1]
            return torch.tensor(names.mean_squared_loss(output, y))

        @staticmethod
        def backward(ctx, gradient):
            return None, *(gradient * found for found in ctx.found)

    f = names.loss_function(parameters, x, y)
    numerical = names.unflatten(
        names.numerical_gradient(f, names.theta, 1e-6), names.shapes
    )
    for function in (names.backward, *names.faulty.values()):
        found = function(parameters, x, y)
        for atol in (1e-5, 1e-9):
            for i in range(6):
                tensors = [torch.tensor(p) for p in parameters]
                tensors[i].requires_grad_()
                passed = torch.autograd.gradcheck(
                    Loss.apply,
                    (function, *tensors),
                    atol=atol,
                    raise_exception=False,
                )
                judged = names.exceeds_gradcheck(
                    found[i], numerical[i], atol
                )
                assert passed != judged


def test_the_bounds_beside_the_errors(appendix):
    names = appendix.names
    (axes,) = names.bound_figure.axes
    line, dots = axes.lines
    assert line.get_linestyle() == "-" and dots.get_marker() == "o"
    np.testing.assert_allclose(line.get_xdata(), np.logspace(-2, 1, 40))
    np.testing.assert_allclose(dots.get_xdata(), np.logspace(-2, 1, 40))
    assert len(names.networks) == 40
    for k in (0, 13, 27, 39):
        network = names.networks[k]
        scale = np.sqrt(
            np.mean(np.concatenate([p.ravel() for p in network[0]]) ** 2)
        )
        assert scale == pytest.approx(np.logspace(-2, 1, 40)[k], rel=0.5)
        f = names.loss_function(*network)
        theta = names.flatten(network[0])
        right = names.flatten(names.backward(*network))
        error = names.numerical_gradient(f, theta) - right
        size = np.linalg.norm(right)
        expected = np.linalg.norm(error) / size
        assert dots.get_ydata()[k] == pytest.approx(expected)
        expected = np.linalg.norm(names.error_bounds(f, theta)) / size
        assert line.get_ydata()[k] == pytest.approx(expected)
    labels = texts(axes)
    assert same_color(
        labels["proven bound"].get_color(), line.get_color()
    )
    assert same_color(
        labels["measured error"].get_color(), dots.get_color()
    )
    assert (
        labels["proven bound"].get_position()[1]
        > labels["measured error"].get_position()[1]
    )
    assert axes.get_xlabel() == "size of the weights and biases"
    assert axes.get_ylabel() == "relative error (norms)"


def test_a_picture_is_sharp_and_has_its_text(definitions):
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([0, 1], [0, 1], color=definitions.BLUE)
    picture = definitions.Picture(figure, "what it shows")
    png, metadata = picture._repr_png_()
    assert metadata == {"alt": "what it shows", "width": 192}
    # twice as many dots as its width on the page
    assert int.from_bytes(png[16:20], "big") == 2 * 192
    assert repr(picture) == "Figure: what it shows"
    # the palette lies on the 16 levels that are stored
    for name in ("BLUE", "ORANGE", "GREEN", "PURPLE", "PALE", "GREY"):
        levels = np.array(to_rgb(getattr(definitions, name))) * 15
        np.testing.assert_allclose(levels, np.rint(levels))
    plt.close(figure)
