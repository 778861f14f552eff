"""What a reader sees is what was computed.

nbval compares the outputs that are the same everywhere. This file reads the
others, in which there is rounding noise or time: in a fresh run they have to
show the data that they name, and as they are stored, perhaps from another
processor, they have to fit each other and what is the same everywhere.
"""

import re
from pathlib import Path

import numpy as np
import pytest
from references import exact_gradient, sheet_point

EPSILON = np.finfo(float).eps
METHODS = ("backprop", "numerical", "autograd")


def table(text):
    """(title, {heading: cells}) of a Markdown table."""
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith("|")]
    title = "\n".join(lines[: lines.index(rows[0])]).strip()
    cells = [
        [c.strip() for c in row.strip("|").split("|")] for row in rows
    ]
    headings, _, *body = cells
    return title, dict(zip(headings, map(list, zip(*body)), strict=True))


def numbers(cells):
    return np.array([float(cell.replace(",", "")) for cell in cells])


def all_numbers(text):
    """All numbers in a text, thousands separated by commas."""
    found = re.findall(r"(?<![\w.])-?\d[\d,]*\.?\d*(?:e[+-]?\d+)?", text)
    return numbers(found)


def assert_shown(cells, values, digits):
    """Texts are these values, to so many significant digits."""
    values = np.array([float(value) for value in values])
    # half a unit of the last digit shown, at worst behind a leading 1
    close = 0.5001 * 10.0 ** (1 - digits)
    np.testing.assert_allclose(numbers(cells), values, rtol=close)


def norm_errors(found, right):
    """Relative errors in norms, by their formula."""
    errors = []
    for a, b in zip(found, right, strict=True):
        larger = max(np.sqrt((a**2).sum()), np.sqrt((b**2).sum()))
        errors.append(np.sqrt(((a - b) ** 2).sum()) / larger)
    return errors


def largest_entry_error(a, b):
    larger = np.maximum(np.abs(a), np.abs(b))
    return (np.abs(a - b) / larger).max()


# ------------------------------------------------- the gradients entry by entry

LABELS = [f"dL/d{name}" for name in ("W1", "b1", "W2", "b2", "W3", "b3")]
NAMES = [label[4:] for label in LABELS]


def entry_table(run, i, which):
    """Unit and columns of the table of the i-th gradient."""
    title, columns = table(
        run.show(f"show_table(*entry_table({i}))")[which][1]
    )
    found = re.fullmatch(
        rf"#### Gradient with respect to {NAMES[i]}, in units of (1e-\d|1)",
        title,
    )
    # the size of the entries, where they are far below 1
    assert found[1] == ("1e-6", "1e-6", "1e-4", "1e-3", "1", "1")[i]
    return float(found[1]), columns


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
@pytest.mark.parametrize("i", range(6), ids=NAMES)
def test_a_table_of_entries(submission, i, which):
    names = submission.names
    unit, columns = entry_table(submission, i, which)
    shape = sheet_point()[0][i].shape
    assert columns["entry"] == [str(list(k)) for k in np.ndindex(shape)]
    shown = {}
    for method in METHODS:
        (digits,) = {len(c.split(".")[1]) for c in columns[method]}
        assert digits == (6 if i < 2 else 7)
        shown[method] = numbers(columns[method]) * unit
        entries = names.gradients[method][i].ravel()
        if which == 0 or method != "numerical":  # the same everywhere
            half = 0.5001 * 10.0**-digits * unit
            np.testing.assert_allclose(shown[method], entries, 0, half)
    absolute = numbers(columns["numerical: absolute error"])
    relative = numbers(columns["numerical: relative error"])
    theirs = numbers(columns["autograd: relative error"])
    backprop = names.gradients["backprop"][i].ravel()
    numerical = names.gradients["numerical"][i].ravel()
    autograd = names.gradients["autograd"][i].ravel()
    if which == 0:
        gap = np.abs(numerical - backprop)
        larger = np.maximum(np.abs(numerical), np.abs(backprop))
        assert_shown(columns["numerical: absolute error"], gap, 2)
        assert_shown(
            columns["numerical: relative error"], gap / larger, 2
        )
        own = np.abs(autograd - backprop)
        larger = np.maximum(np.abs(autograd), np.abs(backprop))
        assert_shown(columns["autograd: relative error"], own / larger, 2)
    # the columns fit each other, as far as their digits go
    gap = np.abs(shown["numerical"] - shown["backprop"])
    np.testing.assert_allclose(
        gap, absolute, rtol=0.06, atol=1.01 * 10.0**-digits * unit
    )
    np.testing.assert_allclose(
        relative, absolute / np.abs(backprop), rtol=0.11, atol=1e-20
    )
    # rounding noise of the size that it has to have: not 0, and not more
    # than a few roundings of the loss, divided by the step
    assert (absolute <= 8 * EPSILON / 1e-5).all() and absolute.any()
    # a sum of five terms, of which each is right to a few roundings
    assert (
        theirs * np.abs(backprop) <= 16 * EPSILON * np.abs(backprop).max()
    ).all()


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_table_of_all_six(submission, which):
    names = submission.names
    text = submission.show('"numerical gradient: error in norms"')[which][
        1
    ]
    title, columns = table(text)
    assert title == "Relative errors with respect to backpropagation"
    assert columns.pop("gradient") == LABELS
    numerical, largest, autograd, largest_autograd = columns.values()
    assert [re.sub(r"[^a-z :]", "", heading) for heading in columns] == [
        "numerical gradient: error in norms",
        "numerical gradient: largest error of an entry",
        "autograd: error in norms",
        "autograd: largest error of an entry",
    ]
    if which == 0:
        right = names.gradients["backprop"]
        for method, shown, most in (
            ("numerical", numerical, largest),
            ("autograd", autograd, largest_autograd),
        ):
            found = names.gradients[method]
            assert_shown(shown, norm_errors(found, right), 2)
            worst = [
                largest_entry_error(a, b) for a, b in zip(found, right)
            ]
            assert_shown(most, worst, 2)
    for i in range(6):
        _, entries = entry_table(submission, i, which)
        absolute = numbers(entries["numerical: absolute error"])
        backprop = names.gradients["backprop"][i]
        expected = np.linalg.norm(absolute) / np.linalg.norm(backprop)
        # two digits of each entry, two of the result
        assert float(numerical[i]) == pytest.approx(expected, rel=0.11)
        assert largest[i] == max(
            entries["numerical: relative error"], key=float
        )
        own = entries["autograd: relative error"]
        assert largest_autograd[i] == max(own, key=float)
        assert float(autograd[i]) <= 1e-14


# ----------------------------------------------------------- printed lines


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_one_entry_in_numbers(submission, which):
    names = submission.names
    lines = submission.show('print(f"loss with theta_k + h:')[which][0]
    first, lines = lines.split("\n", 1)
    assert first == "smallest entry: W1[3, 2]"
    labels = [line.rsplit(maxsplit=1)[0] for line in lines.splitlines()]
    assert labels == [
        "loss with theta_k + h:",
        "loss with theta_k - h:",
        "difference of the losses:",
        "difference divided by 2h:",
        "derivative by backprop:",
    ]
    plus, minus, difference, quotient, derivative = (
        float(line.rsplit(maxsplit=1)[1]) for line in lines.splitlines()
    )
    backprop = names.flatten(names.gradients["backprop"])
    k = np.abs(backprop).argmin()
    if which == 0:
        e = 1e-5 * np.eye(46)[k]
        assert plus == pytest.approx(names.L(names.theta + e), abs=6e-17)
        assert minus == pytest.approx(names.L(names.theta - e), abs=6e-17)
        assert quotient == pytest.approx(names.numerical[k], rel=1e-9)
    # 16 digits after the point, of numbers that lie 2.2e-16 apart
    assert difference == pytest.approx(plus - minus, abs=1.2e-16)
    assert quotient == pytest.approx(difference / 2e-5, abs=6e-12)
    assert derivative == pytest.approx(backprop[k], rel=1e-9)
    assert (
        abs(plus - names.loss) < 1e-10 and abs(minus - names.loss) < 1e-10
    )
    ticks = quotient * 2e-5 / 2.0**-52
    assert ticks == pytest.approx(np.rint(ticks), abs=1e-3)
    assert abs(quotient - derivative) <= 8 * EPSILON / 1e-5


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_differences_of_the_layers(submission, which):
    names = submission.names
    lines = submission.show('print(f"{name}: {difference.max():.1e}")')[
        which
    ][0]
    shown = dict(line.split(": ") for line in lines.splitlines())
    assert list(shown) == ["a1", "a2", "output", "loss"]
    gap = float(shown.pop("loss"))
    if which == 0:
        theirs = names.torch_loss(
            names.torch_output, names.torch_y
        ).item()
        expected = abs(theirs - names.loss)
        assert gap == pytest.approx(expected, rel=0.051)
    assert gap <= 8 * EPSILON * names.loss
    _, x, _ = sheet_point()
    layers = names.forward(sheet_point()[0], x)
    for name, layer in zip(shown, layers):
        theirs = names.torch_layers[name].detach().numpy().T
        if which == 0:
            assert float(shown[name]) == pytest.approx(
                np.abs(theirs - layer).max(), rel=0.051
            )
        # a few roundings
        assert float(shown[name]) <= 4 * EPSILON * np.abs(layer).max()


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_error_signals(submission, which):
    names = submission.names
    lines = submission.show('end=", ")')[which][0].splitlines()
    parameters, x, y = sheet_point()
    a1, a2, output = names.forward(parameters, x)
    delta3 = (output - y) / 5
    delta2 = parameters[4].T @ delta3 * a2 * (1 - a2)
    delta1 = parameters[2].T @ delta2 * a1 * (1 - a1)
    signals = {"delta1": delta1, "delta2": delta2, "delta3": delta3}
    assert [line.split(":")[0] for line in lines] == list(signals)
    for k, (line, (name, ours)) in enumerate(zip(lines, signals.items())):
        match = re.fullmatch(
            rf"{name}: largest entry (\S+), largest difference (\S+)",
            line,
        )
        largest, difference = map(float, match.groups())
        assert largest == pytest.approx(np.abs(ours).max(), rel=0.051)
        if which == 0:
            theirs = names.torch_signals[k].numpy().T
            gap = np.abs(theirs - ours).max()
            assert difference == pytest.approx(gap, rel=0.051)
        assert difference <= 16 * EPSILON * largest


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_all_six_in_one_vector(submission, which):
    names = submission.names
    line = submission.show("all six gradients in one vector")[which][0]
    (shown,) = all_numbers(line)
    backprop = names.flatten(names.gradients["backprop"])
    if which == 0:
        gap = np.linalg.norm(names.numerical - backprop)
        total = np.linalg.norm(names.numerical) + np.linalg.norm(backprop)
        assert shown == pytest.approx(gap / total, rel=0.051)
    squares = 0
    for i in range(6):
        _, columns = entry_table(submission, i, which)
        absolute = numbers(columns["numerical: absolute error"])
        squares += (absolute**2).sum()
    expected = squares**0.5 / (2 * np.linalg.norm(backprop))
    assert shown == pytest.approx(expected, rel=0.11)


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_table_against_the_complex_step(submission, which):
    names = submission.names
    text = submission.show("with respect to the complex step")[which][1]
    title, columns = table(text)
    assert (
        title
        == "Relative errors in norms with respect to the complex step"
    )
    assert columns.pop("gradient") == LABELS
    assert list(columns) == ["backprop", "autograd", "numerical"]
    for method, shown in columns.items():
        if which == 0:
            found, right = (
                names.gradients[method],
                names.gradients["complex step"],
            )
            assert_shown(shown, norm_errors(found, right), 2)
        if method != "numerical":
            assert (numbers(shown) <= 1e-14).all()
    text = submission.show('"numerical gradient: error in norms"')[which][
        1
    ]
    other = table(text)[1]["numerical gradient: error in norms"]
    np.testing.assert_allclose(numbers(shown), numbers(other), rtol=0.11)


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_ticks(submission, which):
    names = submission.names
    text = submission.show('{"smallest": smallest, "largest"')[which][0]
    pattern = (
        r"(?:smallest|largest) entry, derivative by backprop (\S+)\n"
        r"  the two losses are ([\d,]+) ticks apart\n"
        r"  the numerical derivative is off by (\S+) q,\n"
        r"  which is (\S+) of it\n"
    )
    backprop = names.flatten(names.gradients["backprop"])
    tables = [entry_table(submission, i, which) for i in range(6)]
    relative, absolute, sign = [], [], []
    for unit, columns in tables:
        relative += list(numbers(columns["numerical: relative error"]))
        absolute += list(numbers(columns["numerical: absolute error"]))
        gap = numbers(columns["numerical"]) - numbers(columns["backprop"])
        sign += list(np.sign(gap))
    q = 2.0**-52 / 2e-5
    order = (np.abs(backprop).argmin(), np.abs(backprop).argmax())
    blocks = re.findall(pattern, text)
    assert len(blocks) == 2
    assert text.index("smallest entry") < text.index("largest entry")
    for k, (derivative, apart, off, share) in zip(order, blocks):
        assert float(derivative) == pytest.approx(backprop[k], rel=1e-4)
        apart, off = float(apart.replace(",", "")), float(off)
        # the derivative in q, but for an error of a few q
        assert apart == pytest.approx(abs(backprop[k]) / q, abs=8)
        assert abs(off) == pytest.approx(
            absolute[k] / q, rel=0.06, abs=6e-4
        )
        assert sign[k] in (0, np.sign(off))
        assert float(share) == pytest.approx(relative[k], rel=0.11)
        if which == 0:
            expected = (names.numerical[k] - backprop[k]) / q
            assert off == pytest.approx(expected, abs=6e-4)
            expected = abs(names.numerical[k]) / q
            assert apart == pytest.approx(expected, abs=0.51)
    largest, typical = re.search(
        r"largest error of all entries: (\S+) q\n"
        r"root of the mean square of all errors: (\S+) q$",
        text,
    ).groups()
    absolute = np.array(absolute) / q
    assert float(largest) == pytest.approx(absolute.max(), rel=0.06)
    root = np.sqrt(np.mean(absolute**2))
    assert float(typical) == pytest.approx(root, rel=0.06)


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_table_of_less_cancellation(submission, which):
    names = submission.names
    title, columns = table(
        submission.show("What the factored formula gains")[which][1]
    )
    assert title == (
        "What the factored formula gains (found: median of the six gradients)"
    )
    targets, ratios, factors = columns.values()
    assert list(columns) == [
        "targets",
        "predicted: abs(y) / abs(f)",
        "found: error is divided by",
    ]
    divisors = (1, 8, 64)
    assert targets == ["y", "y / 8", "y / 64"]
    parameters, x, y = sheet_point()
    _, _, output = names.forward(parameters, x)
    for divisor, ratio, factor in zip(divisors, ratios, factors):
        expected = np.abs(y).mean() / divisor / np.abs(output).mean()
        assert float(ratio) == pytest.approx(expected, abs=0.051)
        if which == 0:
            gains = names.gains_by_factoring(parameters, x, y / divisor)
            assert float(factor) == pytest.approx(
                np.median(gains), abs=0.051
            )
        # the order that the text predicts, for noise divided by noise
        assert expected / 3 <= float(factor) <= 30 * expected
    assert float(factors[0]) > float(factors[1]) > float(factors[2])


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_table_of_estimates(submission, which):
    names = submission.names
    title, columns = table(
        submission.show('"truncation, estimate"')[which][1]
    )
    assert title == "Relative errors in norms at the step 1e-5"
    assert columns.pop("gradient") == LABELS
    assert list(columns) == [
        "rounding, estimate",
        "truncation, estimate",
        "measured error",
    ]
    rounding, truncation, measured = columns.values()
    right = names.gradients["backprop"]
    sizes = np.sqrt([g.size for g in right])
    norms = np.array([np.linalg.norm(g) for g in right])
    # both are the same everywhere
    assert_shown(
        rounding, sizes * 2.0**-53 * names.loss / 1e-5 / norms, 2
    )
    third = np.array(list(names.third_derivatives.values()))
    assert_shown(truncation, 1e-10 / 6 * third / norms, 2)
    text = submission.show('"numerical gradient: error in norms"')[which][
        1
    ]
    assert (
        measured == table(text)[1]["numerical gradient: error in norms"]
    )


def test_the_third_derivatives_are_right(submission):
    names = submission.names
    found = [names.third_derivatives[name] for name in NAMES]
    assert found[4:] == [0, 0]
    # central differences of the exact gradient, of fourth order or so; the
    # complex step is off by h^2/20 times a fifth derivative, some 1e-3
    parameters, x, y = sheet_point()
    h = 2.0**-7
    shapes = [p.shape for p in parameters]
    theta = names.flatten(parameters)
    third = np.zeros(theta.size)
    for k in range(36):
        e = h * np.eye(theta.size)[k]
        moved = []
        for step in (-1, 0, 1):
            cut = names.unflatten(theta + step * e, shapes)
            moved.append(exact_gradient(cut, x, y)[k])
        third[k] = float((moved[0] - 2 * moved[1] + moved[2]) / h**2)
    expected = [np.linalg.norm(t) for t in names.unflatten(third, shapes)]
    np.testing.assert_allclose(found[:4], expected[:4], rtol=0.01)


# --------------------------------------------------------------- the appendix


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_tried_bounds(appendix, which):
    names = appendix.names
    text = appendix.show("abs(tried_error[k])")[which][0]
    found = re.findall(r"derivative (\d): error (\S+), bound (\S+)", text)
    assert [k for k, _, _ in found] == ["0", "1"]
    theta = np.array([3.0, 0.1])
    bounds = names.error_bounds(names.square_times, theta)
    numerical = names.numerical_gradient(names.square_times, theta)
    exact = [2 * 3.0 * 0.1, 9.0]
    for k, (_, error, bound) in enumerate(found):
        assert float(bound) == pytest.approx(bounds[k], rel=0.051)
        assert float(error) <= float(bound)
        if which == 0:
            gap = abs(numerical[k] - exact[k])
            assert float(error) == pytest.approx(gap, rel=0.051)


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_tightness_of_the_bound(appendix, which):
    names = appendix.names
    text = appendix.show("least bound / error in the figure")[which][0]
    labels = [line.rsplit(": ", 1)[0] for line in text.splitlines()]
    assert labels == [
        "bound / error with the sheets' numbers",
        "least bound / error in the figure",
        "largest bound / error in the figure",
        "largest error / bound of a single entry",
    ]
    here, least, most, share = all_numbers(text)
    if which == 0:
        bounds = names.error_bounds(names.L, names.theta)
        backprop = names.flatten(names.gradients["backprop"])
        error = names.numerical - backprop
        ratio = np.linalg.norm(bounds) / np.linalg.norm(error)
        assert here == pytest.approx(ratio, abs=0.51)
        ratios, shares = [], []
        for network in names.networks:
            f = names.loss_function(*network)
            theta = names.flatten(network[0])
            right = names.flatten(names.backward(*network))
            error = np.abs(names.numerical_gradient(f, theta) - right)
            bounds = names.error_bounds(f, theta)
            ratios.append(np.linalg.norm(bounds) / np.linalg.norm(error))
            shares.append((error / bounds).max())
        assert len(ratios) == 40
        assert least == pytest.approx(min(ratios), abs=0.51)
        assert most == pytest.approx(max(ratios), abs=0.51)
        assert share == pytest.approx(max(shares), abs=0.0051)
    assert 1 <= least <= here <= most <= 1000
    assert share <= 1


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_verdicts_with_proven_tolerances(appendix, which):
    names = appendix.names
    _, columns = table(appendix.show('"mistakes found"')[which][1])
    assert columns["judge"] == [
        "bound, h = 1e-5",
        "bound, h = 1e-3",
        "complex step",
    ]
    point = sheet_point()
    right = names.flatten(names.backward(*point))
    rounding = names.backward_rounding(*point)
    stepped = names.complex_step_gradient(names.L, names.theta)
    counts = {"found": [], "in part": []}
    for judge in columns["judge"]:
        words = []
        for function in names.faulty.values():
            found = names.flatten(function(*point))
            if judge == "complex step":
                outside = np.abs(found - stepped) > 2 * rounding
            else:
                h = float(judge.split("= ")[1])
                outside = names.outside_bounds(
                    found, names.L, names.theta, h, rounding
                )
            parts = names.unflatten(outside * 1.0, names.shapes)
            wrong = names.unflatten(
                (np.abs(found - right) > rounding) * 1.0, names.shapes
            )
            verdicts = [p.any() for p, w in zip(parts, wrong) if w.any()]
            words.append(
                "found"
                if all(verdicts)
                else "in part"
                if any(verdicts)
                else "missed"
            )
        for word, count in counts.items():
            count.append(words.count(word))
    shown = [int(c) for c in columns["mistakes found"]]
    partly = [int(c) for c in columns["found in part"]]
    if which == 0:
        assert (shown, partly) == (counts["found"], counts["in part"])
    assert shown[1:] == [10, 10] and partly[1:] == [0, 0]
    assert shown[0] >= 9 and shown[0] + partly[0] == 10
    assert columns["right"] == ["passed"] * 3
    assert columns["right, near a fit"] == ["passed"] * 3
    # each judge at each point by its own description
    for point in names.right_points.values():
        f = names.loss_function(*point)
        theta = names.flatten(point[0])
        rounding = names.backward_rounding(*point)
        judges = names.proven_at(*point)
        for h in (1e-5, 1e-3):
            reference, tolerance = judges.pop(
                f"bound, h = {h:.0e}".replace("e-0", "e-")
            )
            np.testing.assert_array_equal(
                reference, names.numerical_gradient(f, theta, h)
            )
            np.testing.assert_array_equal(
                tolerance, names.error_bounds(f, theta, h) + rounding
            )
        ((reference, tolerance),) = judges.values()
        np.testing.assert_array_equal(
            reference, names.complex_step_gradient(f, theta)
        )
        np.testing.assert_array_equal(tolerance, 2 * rounding)


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_distance_of_the_complex_step(appendix, which):
    names = appendix.names
    text = appendix.show("complex_shares = []")[which][0]
    shown = float(text.rsplit(maxsplit=1)[1])
    if which == 0:
        shares = []
        for network in names.networks:
            f = names.loss_function(*network)
            theta = names.flatten(network[0])
            ours = names.flatten(names.backward(*network))
            gap = names.complex_step_gradient(f, theta) - ours
            allowed = 2 * names.backward_rounding(*network)
            shares.append((np.abs(gap) / allowed).max())
        assert shown == pytest.approx(max(shares), abs=0.0051)
    assert 0 < shown < 1


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_single_precision(appendix, which):
    names = appendix.names
    printed, text = appendix.show(
        '"Relative errors in single precision"'
    )[which]
    title, columns = table(text)
    assert title == "Relative errors in single precision"
    assert columns.pop("gradient") == LABELS
    assert list(columns) == [
        "numerical, h = 1e-5",
        "numerical, h = 0.1",
        "autograd",
    ]
    parameters, x, y = sheet_point()
    single = [p.astype(np.float32) for p in parameters]
    x, y = x.astype(np.float32), y.astype(np.float32)
    exact = exact_gradient(single, x, y).astype(float)
    right = names.unflatten(exact, names.shapes)
    f = names.loss_function(single, x, y)
    theta = names.flatten(single)
    if which == 0:
        for h, (method, shown) in zip((1e-5, 0.1), columns.items()):
            found = names.unflatten(
                names.numerical_gradient(f, theta, h).astype(float),
                names.shapes,
            )
            assert found[0].shape == (4, 3), method
            # double rounds a millionth of what single does
            assert_shown(shown, norm_errors(found, right), 2)
        network = names.torch_network(single)
        found = names.autograd_gradients(network, x, y)
        assert_shown(columns["autograd"], norm_errors(found, right), 2)
    short, long, autograd = map(numbers, columns.values())
    assert (short[:4] >= 0.5).all() and (short[4:] <= 0.1).all()
    assert (long[4:] <= 1e-5).all() and (long[:4] <= 0.5).all()
    assert (autograd <= 1e-6).all()
    lines = printed.splitlines()
    assert (
        lines[0] == "How many ticks the two losses are apart at h = 1e-5:"
    )
    ticks = (
        names.numerical_gradient(f, theta).astype(float) * 2e-5 / 2.0**-23
    )
    expected = names.unflatten(np.abs(np.rint(ticks)), names.shapes)
    for line, name, apart, gradient in zip(
        lines[1:], NAMES, expected, right, strict=True
    ):
        least, most = map(
            int,
            re.fullmatch(
                rf"  entries of {name}: (\d+) to (\d+)", line
            ).groups(),
        )
        if which == 0:
            assert (least, most) == (apart.min(), apart.max())
        # the derivative in ticks, but for a few
        assert abs(most - np.abs(gradient).max() * 2e-5 / 2.0**-23) <= 5
        assert least <= most


@pytest.mark.parametrize("which", [0, 1], ids=["fresh", "stored"])
def test_the_costs(appendix, which):
    names = appendix.names
    title, columns = table(appendix.show('"forward passes"')[which][1])
    assert (
        title == "Time of a gradient, divided by that of a forward pass"
    )
    method, passes, small, large = columns.values()
    assert list(columns)[2:] == ["time, P = 46", "time, P = 1882"]
    assert method == [
        "backprop",
        "autograd",
        "complex step",
        "numerical gradient",
    ]
    assert passes == ["1", "1", "P", "2P"]
    if which == 0:
        assert_shown(small, names.times.values(), 1)
        np.testing.assert_allclose(
            numbers(large), list(names.wide_times.values()), atol=0.51
        )
        assert list(names.times) == list(names.wide_times) == method
    large = numbers(large)
    # whatever else the machine does: thousands of passes against two or three
    assert large[3] > 10 * large[0] and large[2] > 10 * large[0]


def test_the_passes_are_counted(appendix, monkeypatch):
    names = appendix.names
    parameters, x, y = sheet_point()
    counts, forward = [], names.forward

    def counted(parameters, x):
        stack = np.shape(parameters[1])[:-1]
        counts.append(int(np.prod(stack)))
        return forward(parameters, x)

    monkeypatch.setitem(forward.__globals__, "forward", counted)
    f = names.loss_function(parameters, x, y)
    for call, expected in (
        (lambda: names.backward(parameters, x, y), 1),
        # a row of zeros more in each stack
        (lambda: names.complex_step_gradient(f, names.theta), 46 + 1),
        (lambda: names.numerical_gradient(f, names.theta), 2 * (46 + 1)),
    ):
        counts.clear()
        call()
        assert sum(counts) == expected


# ------------------------------------- outputs that are the same everywhere
#
# nbval compares these with the stored ones. Here they are held against the
# data, so that a fault is also found when it has been stored.


def assert_prints(run, marker, expected):
    """The cell prints these lines, fresh and stored."""
    for texts in run.show(marker):
        assert texts[0].splitlines() == expected


def array_lines(heading, array):
    return [heading, *str(array).splitlines()]


def test_the_sigmoids(submission):
    assert_prints(
        submission,
        'print(f"sigmoid({z:.6g})',
        [
            "sigmoid(0) = 0.5",
            "sigmoid(1.09861) = 0.75",
            "sigmoid(-1.09861) = 0.25",
            "sigmoid(1000) = 1",
            "sigmoid(-1000) = 0",
        ],
    )


def exact_layers():
    """Outputs of every module by plain formulas."""
    (W1, b1, W2, b2, W3, b3), x, y = sheet_point()
    z1 = W1 @ x + b1[:, np.newaxis]
    a1 = 1 / (1 + np.exp(-z1))
    z2 = W2 @ a1 + b2[:, np.newaxis]
    a2 = 1 / (1 + np.exp(-z2))
    output = W3 @ a2 + b3[:, np.newaxis]
    loss = ((output - y) ** 2).sum() / 10
    return {
        "z1": z1,
        "a1": a1,
        "z2": z2,
        "a2": a2,
        "output": output,
    }, loss


def test_the_layers(submission):
    layers, loss = exact_layers()
    lines = []
    for name in ("a1", "a2", "output"):
        heading = f"{name}, shape {layers[name].shape}"
        lines += array_lines(heading, layers[name])
    hidden = np.concatenate([layers["a1"], layers["a2"]])
    far = np.abs(hidden - 0.5).max()
    lines.append(
        f"largest distance of a hidden output from 1/2: {far:.6f}"
    )
    assert_prints(submission, "largest distance of a hidden", lines)
    assert_prints(
        submission,
        'print(f"loss of the network',
        [f"loss of the network: {loss:.10f}"],
    )
    lines = []
    for name, layer in layers.items():
        heading = f"{name} by PyTorch, transposed to samples in columns"
        lines += array_lines(heading, layer)
        if name in ("a1", "a2", "output"):
            lines += array_lines(f"{name} by NumPy (section 1)", layer)
        lines.append("")
    lines += [
        f"loss by PyTorch {loss:.10f}",
        f"loss by NumPy   {loss:.10f}",
    ]
    assert_prints(submission, "loss_by_torch = ", lines)


def test_the_gradients_as_they_are_first_shown(submission):
    right = submission.names.unflatten(
        exact_gradient(*sheet_point()).astype(float),
        submission.names.shapes,
    )
    lines = [
        f"{label} has shape {g.shape} and norm {np.linalg.norm(g):.6e}"
        for label, g in zip(LABELS, right)
    ]
    assert_prints(
        submission, "has shape {gradient.shape} and norm", lines
    )
    lines = []
    for label, g in zip(LABELS, right):
        lines += array_lines(f"{label}, param.grad by autograd", g)
        lines += [*array_lines(f"{label}, backprop", g), ""]
    assert_prints(submission, "param.grad by autograd", lines[:-1])


def test_the_small_examples(submission):
    assert_prints(
        submission,
        "small_gradients = backward(",
        [
            f"{label} = {value:.4f}"
            for label, value in zip(
                LABELS, (3 / 8, 3 / 16, 3 / 16, 3 / 8, 1 / 4, 1 / 2)
            )
        ],
    )
    growth = (3 / (1 + np.exp(-0.002)) - 1) ** 2 / 2 - 1 / 8
    assert_prints(
        submission,
        "growth = loss_of_one_unit",
        [
            f"the loss grows by {growth:.6f},",
            f"which is {growth / 0.001:.4f} times 0.001",
        ],
    )
    assert_prints(
        submission,
        "misses = ",
        ["loss of the example: 6.25"],
    )
    assert_prints(
        submission,
        "def cubic",
        [
            "stack of moved points:",
            "[[2.001 1.   ]",
            " [2.    1.001]]",
            f"function of each row: {np.array([2.001**3 + 2.001, 10.002])}",
            "numerical gradient:   [13.  2.]",
            "one-sided quotient:   [13.00006  2.     ]",
        ],
    )
    assert_prints(
        submission,
        "for outputs in (2, 3)",
        [
            "2 outputs: torch_loss 1.00, MSELoss 1.00",
            "3 outputs: torch_loss 1.50, MSELoss 1.00",
        ],
    )
    assert_prints(
        submission,
        "relative_error([3, 4], [3, 5])",
        [f"in norms: {34**-0.5:.4f}", "by entry: [0.  0.2]"],
    )
    assert_prints(
        submission,
        "cubed = complex_step_gradient",
        [
            "derivative of t^3 at 2, complex step:   12.00000000",
            "derivative of |t|^2 at 2, complex step: 0.00000000 (wrong)",
        ],
    )


def test_what_the_discussion_prints(submission):
    names = submission.names
    parameters, x, y = sheet_point()
    layers, loss = exact_layers()
    right = names.unflatten(
        exact_gradient(*sheet_point()).astype(float), names.shapes
    )
    twice = names.flatten([2 * p for p in parameters])
    losses = np.array([loss, names.L(twice)])
    assert_prints(
        submission,
        'print("L of a stack of two rows: "',
        [
            "theta has 46 entries",
            f"L of the vector theta:     {loss:.8f}",
            f"L of a stack of two rows:  {losses}",
        ],
    )
    assert_prints(
        submission,
        "moved networks",
        ["46 entries, so 92 moved networks"],
    )
    delta3 = (layers["output"] - y) / 5
    a1, a2 = layers["a1"], layers["a2"]
    delta2 = parameters[4].T @ delta3 * a2 * (1 - a2)
    wrong = (parameters[2] @ delta2 * a1 * (1 - a1)) @ x.T
    error = np.linalg.norm(wrong - right[0])
    error /= max(np.linalg.norm(wrong), np.linalg.norm(right[0]))
    assert_prints(
        submission,
        "wrong_delta1 = ",
        [f"relative error of dL/dW1 with the mistake: {error:.2f}"],
    )
    q = 2.0**-52 / 2e-5
    assert_prints(
        submission,
        "three_roundings = ",
        [
            f"tick = {2.0**-52:.3e}, q = {q:.3e}",
            "46 of 46 entries are whole numbers of q",
        ],
    )
    # three roundings of eps / 2 and what they make of each other
    assert 1.5 * EPSILON < names.three_roundings <= 2 * EPSILON
    assert_prints(
        submission,
        "estimated rounding error of an entry",
        [
            f"estimated rounding error of an entry: {2.0**-53 * loss / 1e-5:.3e}"
        ],
    )
    for name, i in (
        ("b1_gradient", 1),
        ("b2_gradient", 3),
        ("b3_gradient", 5),
    ):
        assert getattr(names, name) is names.gradients["backprop"][i]
    norms = [np.linalg.norm(g) for g in right]
    slopes = np.concatenate([a1 * (1 - a1), a2 * (1 - a2)])
    lines = [
        f"slopes a(1 - a): from {slopes.min():.6f} to {slopes.max():.6f}"
    ]
    for upper, weights in ((5, 4), (3, 2)):
        predicted = np.linalg.norm(
            parameters[weights].T @ right[upper] / 4
        )
        lines.append(
            f"norm from {NAMES[upper]} to {NAMES[upper - 2]}: times "
            f"{norms[upper - 2] / norms[upper]:.6f}, predicted "
            f"{predicted / norms[upper]:.6f}"
        )
    lines.append(
        f"norm of dL/db3 / norm of dL/db1: {norms[5] / norms[1]:,.0f}"
    )
    assert_prints(submission, "slopes a(1 - a)", lines)
    lines = []
    for name, delta in (("b2", delta2), ("b3", delta3)):
        ratios = np.abs(delta).sum(axis=1) / np.abs(delta.sum(axis=1))
        lines += [
            f"{name}[{k}]: sum of abs(terms) / abs(sum) = {ratio:.1f}"
            for k, ratio in enumerate(ratios)
        ]
    assert_prints(submission, "sum of abs(terms) / abs(sum)", lines)


def test_what_the_appendix_prints(appendix):
    names = appendix.names
    for texts in appendix.show("spoiled_gradients = {}"):
        _, columns = table(texts[1])
        assert columns["mistake"] == list(names.FAULTS)
        source = names.inspect.getsource(names.backward)
        for fault, old, new, spoils in zip(*columns.values()):
            assert (
                f"`{names.FAULTS[fault][0]}`",
                f"`{names.FAULTS[fault][1]}`",
            ) == (old, new)
            assert source.count(old.strip("`")) == 1
            function = names.faulty[fault]
            wrong = [
                name
                for name, f, r in zip(
                    NAMES,
                    function(*sheet_point()),
                    names.backward(*sheet_point()),
                )
                if not np.array_equal(f, r)
            ]
            assert spoils == ", ".join(wrong)
    variants = {}
    for judge, verdicts in names.variant_words.items():
        variants[judge] = list(verdicts.values()).count("found")
    lines = [
        "With standard normal weights, all 7 judges find",
        "10 of 10 mistakes.",
        "Other settings, with the sheets' numbers:",
    ]
    for judge, right in names.variant_right.items():
        passed = list(right.values()).count("passed")
        lines += [
            f"{judge}: finds {variants[judge]} of 10 mistakes,",
            f"  lets {passed} of 2 right gradients pass",
        ]
    assert_prints(appendix, "Other settings, with the sheets", lines)
    assert_prints(
        appendix,
        "unlike_shapes = [",
        [
            "W2 not transposed: the shapes of a product do not match",
            "a2 in place of a1: wrong shape of the gradient of W2",
            "a1 in place of a2: wrong shape of the gradient of W3",
        ],
    )
    # 0.1 + 0.2, of which the error is known exactly
    error = (
        names.Fraction(0.1 + 0.2)
        - names.Fraction(0.1)
        - names.Fraction(0.2)
    )
    bound = 2.0**-53 * (0.1 + 0.2)
    assert_prints(
        appendix,
        "small_sum = Bounded(0.1)",
        [
            f"value {0.1 + 0.2:.17f}",
            f"error {abs(float(error)):.3e}",
            f"bound {bound:.3e}",
        ],
    )
    assert_prints(
        appendix,
        "granted = {",
        [
            f"{method}: 46 of 46 entries are inside"
            for method in ("backprop", "autograd", "complex step")
        ],
    )
    assert_prints(
        appendix,
        "def check(own_backward",
        ["0 of 25 entries are outside"],
    )
    theta = names.flatten(names.my_weights)
    steps = (1e-3, 1e-4, 1e-5)
    bounds = [
        names.error_bounds(names.my_loss, theta, h).max() for h in steps
    ]
    best = steps[int(np.argmin(bounds))]
    assert names.best_of_steps(names.my_loss, theta) == best
    # the mistake that the text names, and no other
    V, W = names.my_weights
    a = np.tanh(V @ names.my_x)
    delta = (W @ a - names.my_y) / 6
    wrong = [((W.T @ delta) * (1 - a)) @ names.my_x.T, delta @ a.T]
    right = [((W.T @ delta) * (1 - a**2)) @ names.my_x.T, delta @ a.T]
    for expected, function in (
        (wrong, names.my_wrong_backward),
        (right, names.my_backward),
    ):
        for one, other in zip(function(names.my_weights), expected):
            np.testing.assert_allclose(one, other, rtol=1e-11)
    assert_prints(
        appendix,
        "outside = check(my_wrong_backward",
        [
            "gradient of V: 15 of 15 entries are outside",
            "gradient of W: 0 of 10 entries are outside",
        ],
    )
    assert_prints(
        appendix,
        'print(f"PyTorch: ',
        ["PyTorch: 0 of 46 entries are outside"],
    )


def test_the_check_grants_a_backward_pass_its_rounding(
    appendix, monkeypatch
):
    names = appendix.names
    seen = {}

    def spy(found, f, theta, h, rounding):
        seen.update(found=found, f=f, theta=theta, h=h, rounding=rounding)
        return np.zeros(theta.size, dtype=bool)

    monkeypatch.setitem(names.check.__globals__, "outside_bounds", spy)
    names.check(names.my_backward, names.my_loss, names.my_weights)
    theta = names.flatten(names.my_weights)
    np.testing.assert_array_equal(seen["theta"], theta)
    assert seen["f"] is names.my_loss
    assert seen["h"] == names.best_of_steps(names.my_loss, theta)
    for one, other in zip(
        seen["found"], names.my_backward(names.my_weights), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    carried = names.my_backward(
        [names.Bounded(w) for w in names.my_weights]
    )
    expected = np.concatenate([g.error.ravel() for g in carried])
    np.testing.assert_array_equal(seen["rounding"], expected)
    assert (expected > 0).all()


def test_the_other_settings_are_what_they_say(appendix):
    names = appendix.names
    f, theta = names.L, names.theta
    numerical = names.numerical_gradient(f, theta, 1e-5)
    for fault, function in names.faulty.items():
        found = names.flatten(function(*sheet_point()))
        length = np.linalg.norm
        error = length(found - numerical) / (
            length(found) + length(numerical)
        )
        word = "found" if error > 1e-5 else "missed"
        assert (
            names.variant_words["vector, h = 1e-5, limit 1e-5"][fault]
            == word
        )


def test_the_versions(submission):
    fresh, stored = submission.show("platform.python_version()")
    names = submission.names
    packages = (names.np, names.torch, names.matplotlib)
    python = names.platform.python_version()
    expected = [f"Python {python}"] + [
        f"{p.__name__} {p.__version__}" for p in packages
    ]
    assert fresh[0].splitlines() == expected
    assert [line.split()[0] for line in stored[0].splitlines()] == [
        line.split()[0] for line in expected
    ]


def test_every_output_that_nbval_ignores_is_read_here(code):
    source = Path(__file__).read_text(encoding="utf-8")
    markers = re.findall(r"""\.show\(\s*(f?)(['"])(.*?)\2\s*\)""", source)
    for cell in code:
        if "nbval-ignore-output" not in cell.metadata.get("tags", []):
            continue
        read = "show_table(*entry_table(" in cell.source or any(
            marker in cell.source for _, _, marker in markers
        )
        assert read, cell.source
