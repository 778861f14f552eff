"""Every number in the text and in the README against the run.

For each section, `numbers` holds each number as it is written and its value
in the run, with how far, as a factor, the value may be from it on another
machine. Left out are whole numbers below ten, except before "digits", and
negative ones, and numbers of sections, sheets, questions, shapes and years.
"""

import math
import re

import numpy as np
import pytest

EPS = 2.0**-52
NUMBER = re.compile(
    r"(?<![\w.,^{\\-])(\d+\.\d+(?:e-\d+)?|\d+e-\d+|\d{2,}(?!-|\d|e|\.\d)|"
    r"\d+(?= (?:and \d+ )?digits))(?![\w^])"
)


LEFT_OUT = re.compile(
    r"\(#[^)]*\)|`[^`]*`|^\|.*$|\([^()]*\d{4}\)|\((?:\w+, )*\w*,?\)|"
    r"(?:[Ss]heets?|questions?|[Ss]ections?) [\d.]*\d(?:(?:,| and) [\d.]*\d)?|"
    r"question \d|\(\d\.\d\)",
    re.MULTILINE,
)


def rounded(value):
    """A number that is written with as many digits as it has room for."""
    return value, 1


def about(value, factor=3):
    """Rounding: within a factor of the value, on any machine."""
    return value, factor


def relative_errors(book, method):
    pairs = zip(book.gradients[method], book.gradients["backprop"])
    return np.array([book.relative_error(a, b) for a, b in pairs])


def digits_of(errors):
    """Least and largest number of digits that agree."""
    digits = np.floor(-np.log10(errors))
    return digits.min(), digits.max()


def root_mean_square_error(book):
    found, right = (
        book.flatten(book.gradients[m]) for m in ("numerical", "backprop")
    )
    return np.sqrt(np.mean((found - right) ** 2))


def largest_difference(book):
    """Between the layers' outputs of PyTorch and of NumPy."""
    ours = book.forward(book.parameters, book.x)[-1]
    theirs = book.model(book.torch.tensor(book.x.T)).detach().numpy().T
    return max(np.abs(ours - theirs).max(), EPS / 2)


def numbers(book):
    """{section: [(number as written, (value, factor))]}."""
    loss = book.L(book.theta)
    least, most = digits_of(relative_errors(book, "numerical"))
    exactly = digits_of(relative_errors(book, "autograd") + EPS / 4)
    by_complex_step = digits_of(relative_errors(book, "complex step"))
    value, bar = book.gradient_with_error(book.L, book.theta)
    _, most_confirmed = digits_of(bar / np.abs(value))
    return {
        "": [
            ("15", about(exactly[0], 1.1)),
            ("5", about(least, 1.2)),
            ("10", about(most, 1.1)),
            ("1e-11", about(root_mean_square_error(book))),
        ],
        "1": [("0.01", rounded(0.01))],
        "2": [("25", rounded(0 + 9 + 16)), ("8.5", rounded((9 + 25) / 4))],
        "3.1": [("1.125", rounded(9 / 8)), ("0.001", rounded(0.001))],
        "4.1": [
            ("1e-5", rounded(1e-5)),
            ("64", rounded(64)),
            ("60", rounded(3 * 2**2 * 5)),
        ],
        "5.1": [
            ("7", rounded(np.floor(24 * np.log10(2)))),
            ("16", rounded(np.ceil(53 * np.log10(2)))),
        ],
        "5.4": [
            ("1e-16", about(largest_difference(book), 5)),
            ("1e-15", about(relative_errors(book, "autograd").max(), 5)),
        ],
        "7.1": [
            ("15", about(exactly[0], 1.1)),
            *[("1e-7", rounded(1e-7))] * 3,  # of CS231n, deeplearning.ai
            ("1e-4", rounded(1e-4)),
        ],
        "7.2": [
            ("53", rounded(np.finfo(float).nmant + 1)),
            ("52", rounded(np.finfo(float).nmant)),
            ("2.2e-16", rounded(np.spacing(loss))),
            ("1.06", rounded(loss)),
            ("1.1", rounded(EPS / 2e-5 * 1e11)),
            ("1000", rounded(1000)),
            ("1000", rounded(1000)),
            ("1.1e-13", rounded(np.spacing(1000 + loss))),
            ("512", rounded(np.spacing(1000 + loss) / np.spacing(loss))),
            ("12", rounded(1 / np.mean(np.linspace(-0.5, 0.5, 10001) ** 2))),
            ("0.41", rounded(6**-0.5)),
            ("1e-20", rounded(1e-20)),
            ("15", about(by_complex_step[0], 1.1)),
            ("24", rounded(np.finfo(np.float32).nmant + 1)),
            ("53", rounded(np.finfo(float).nmant + 1)),
            ("1.2e-7", rounded(np.spacing(np.float32(loss)))),
            ("0.006", rounded(np.spacing(np.float32(loss)) / 2e-5)),
        ],
        "7.3": [("0.1", rounded(0.1)), ("1e-5", rounded(1e-5))],
        "7.4": [("0.01", rounded(0.01))],
        "7.5": [
            *[("16", rounded(4**2))] * 2,
            ("15", rounded(4**2 - 1)),
            *[("15", rounded(math.comb(6, 2)))] * 2,
            ("924", rounded(sum(math.comb(6, i) ** 2 for i in range(7)))),
            ("6", about(digits_of(bar / np.abs(value))[0], 1.2)),
            ("13", about(most_confirmed, 1.1)),
            ("0.01", rounded(0.01)),
            ("10", rounded(10)),
            ("1e-8", rounded(1e-8)),
        ],
        "7.6": [
            *[("1e-5", rounded(1e-5))] * 2,  # of each array, of gradcheck
            *[("1e-7", rounded(1e-7))] * 3,  # of each entry and of the bars
            ("0.01", rounded(0.01)),
        ],
    }


def assert_near(written, value, factor):
    """The value is what is written, or within the factor of it."""
    number = float(written)
    if factor > 1:
        assert number / factor <= value <= number * factor, (written, value)
        return
    mantissa, _, exponent = written.partition("e")
    decimals = len(mantissa.partition(".")[2])
    unit = 10.0 ** (int(exponent or 0) - decimals)
    assert abs(value - number) <= 0.5 * unit * (1 + 1e-9), (written, value)


@pytest.fixture(scope="module")
def sections(prose):
    """{number of the section: the numbers in its text}."""
    text = prose.split("## Sources")[0]
    parts = re.split(r"^#+ (\d(?:\.\d)?) .*$", text, flags=re.MULTILINE)
    texts = {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}
    return {
        section: NUMBER.findall(LEFT_OUT.sub("", part))
        for section, part in texts.items()
    }


def test_numbers_in_the_text(book, sections):
    expected = numbers(book)
    for section, found in sections.items():
        pairs = expected.pop(section, [])
        assert sorted(found) == sorted(written for written, _ in pairs), (
            f"in section {section or 'one, the title'}"
        )
        for written, (value, factor) in pairs:
            assert_near(written, value, factor)
    assert not expected


def table_of_errors(text):
    """The six numbers of the only table that has W1 to b3 as heads."""
    pattern = r"\| W1 \| b1 \| W2 \| b2 \| W3 \| b3 \|\n.*\n\|.*?\| (.*) \|\n"
    (row,) = re.findall(pattern, text)
    return row.split(" | ")


def test_tables_of_the_six_errors(prose, readme, shown):
    """They are those that section 6 stores, rounded to one digit."""
    (stored,) = [text for _, text in shown if text.startswith("| dL/dW1 |")]
    numbers = re.findall(r"\d\.\de-\d+", stored)
    rows = [f"{float(n):.0e}".replace("e-0", "e-") for n in numbers]
    assert table_of_errors(prose) == rows
    assert table_of_errors(readme) == rows


def test_things_to_try_in_the_readme(book, readme):
    text = readme.split("## Try")[1].split("\n## ")[0]
    written = re.findall(
        r"(\de-\d+) to (\de-\d+)|(\d\.\d) times|(\d+) to (\d+) times", text
    )
    least, most, times, smallest, largest = map("".join, zip(*written))
    point = book.parameters, book.x, book.y
    # the weights, not the biases, are a hundred times larger
    larger = [p * 100 for p in book.parameters], book.x, book.y
    errors = {
        name: [
            book.relative_error(a, b)
            for a, b in zip(book.numerical_gradients(*p, h), book.backward(*p))
        ]
        for name, p, h in (
            ("stored", point, 1e-5),
            ("order one", larger, 1e-5),
            ("short step", point, 1e-7),
        )
    }
    assert_near(least, min(errors["order one"]), 4)
    assert_near(most, max(errors["order one"]), 4)
    ratios = np.divide(errors["short step"], errors["stored"])
    assert_near(smallest, ratios.min(), 4)
    assert_near(largest, ratios.max(), 4)
    output, y = book.torch.ones(5, 3), book.torch.zeros(5, 3)
    ratio = book.torch_loss(output, y) / book.nn.MSELoss()(output, y)
    assert_near(times, ratio.item(), 1)
