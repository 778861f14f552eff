"""Every number in the text, and what the README says to try, against the run.

For each section, `numbers` leads from a number as it is written to its value
in the run. Left out are whole numbers below ten that do not count digits,
negative numbers, and those of sections, sheets, questions, shapes and years.
"""

import math
import re

import numpy as np
import pytest

from cells import PROSE, README, parse

EPS = 2.0**-52
NUMBER = re.compile(
    r"(?<![\w.,^{\\-])(\d+\.\d+(?:e-\d+)?|\d+e-\d+|\d{2,}(?!-|\d|e|\.\d)|"
    r"\d+(?= (?:and \d+ )?digits))(?![\w^])"
)
LEFT_OUT = re.compile(
    r"\(#[^)]*\)|`[^`]*`|^\|.*$|\([^()]*\d{4}\)|\((?:\w+, )*\w*,?\)|"
    r"(?:[Ss]heets?|questions?|[Ss]ections?) [\d.]*\d(?:(?:,| and) [\d.]*\d)?|"
    r"\(\d\.\d\)",
    re.MULTILINE,
)


def about(value, factor=3):
    """Rounding: the least and the most on any machine."""
    return value / factor, value * factor


def digits(errors):
    """How many digits agree, the least and the most, give or take one."""
    found = np.floor(-np.log10(errors + EPS / 4))
    return [(n - 1, n + 1) for n in (found.min(), found.max())]


def chosen(*written):
    """Steps, limits and sizes; only that they stand there is held."""
    return {number: float(number) for number in written}


def numbers(book):
    """{section: {number as written: value, or (least, most)}}."""
    loss = book.L(book.theta)
    tick = np.spacing(np.float32(loss))
    numerical, autograd, complex_step = (
        np.array(
            book.relative_errors(book.gradients[m], book.gradients["backprop"])
        )
        for m in ("numerical", "autograd", "complex step")
    )
    off = book.flatten(book.gradients["numerical"]) - book.backprop
    absolute = {"1e-11": about(np.sqrt(np.mean(off**2)))}
    layers = book.forward(book.parameters, book.x)
    apart = np.abs(book.flatten(layers) - book.flatten(book.torch_layers))
    fewest, most = digits(numerical)

    def errors(h, scale=1):
        """With a step, and weights that are larger (the biases are 0)."""
        point = [scale * p for p in book.parameters], book.x, book.y
        found = book.numerical_gradients(*point, h)
        return np.array(book.relative_errors(found, book.backward(*point)))

    larger, ratios = errors(1e-5, scale=100), errors(1e-7) / errors(1e-5)
    ones, zeros = book.torch.ones(5, 3), book.torch.zeros(5, 3)
    ratio = book.torch_loss(ones, zeros) / book.nn.MSELoss()(ones, zeros)
    return {
        "": {"15": digits(autograd)[0], "5": fewest, "10": most, **absolute},
        "1": chosen("0.01"),
        "2": {"25": 0 + 3**2 + 4**2, "8.5": (9 + 25) / 2 / 2},
        "3.1": {"1.125": 9 / 8, "0.001": 0.001},
        "4.1": {"60": 3 * 2**2 * 5, **chosen("1e-5", "64")},
        "5.1": {
            "7": math.floor(24 * math.log10(2)),
            "16": math.ceil(53 * math.log10(2)),
        },
        "5.4": {
            "1e-16": about(max(apart.max(), EPS / 2), 5),
            "1e-15": about(autograd.max(), 5),
        },
        "7.1": absolute | chosen("1e-5", "1e-7", "1e-4"),
        "7.2": {
            "53": np.finfo(float).nmant + 1,
            "52": np.finfo(float).nmant,
            "2.2e-16": np.spacing(loss),
            "1.06": loss,
            "1.1": EPS / 2e-5 * 1e11,
            "1.1e-13": np.spacing(1000 + loss),
            "512": np.spacing(1000 + loss) / np.spacing(loss),
            "0.41": 6**-0.5,
            "46": book.theta.size,
            "15": digits(complex_step)[0],
            "24": np.finfo(np.float32).nmant + 1,
            "1.2e-7": tick,
            "0.006": tick / 2e-5,
            **chosen("1000", "1e-20"),
        },
        "7.3": chosen("0.1", "1e-5"),
        "7.4": chosen("0.01"),
        "7.5": {
            "28": 2 * book.STEPS.size,
            "182": 13 * book.STEPS.size,
            "924": sum(math.comb(6, i) ** 2 for i in range(7)),
            **chosen("16", "15", "0.01", "10", "1e-9"),
        },
        "7.6": chosen("1e-5", "1e-7"),
        "7.7": chosen("1e-5"),
        "README": {"15": digits(autograd)[0]},
        "Try": {
            "1e-11": about(larger.min(), 4),
            "2e-10": about(larger.max(), 4),
            "1.5": ratio.item(),
            "16": about(ratios.min(), 4),
            "217": about(ratios.max(), 4),
        },
    }


def test_numbers_in_the_text(book):
    text = PROSE.split("## Sources")[0]
    parts = re.split(r"^#+ (\d(?:\.\d)?) .*$", text, flags=re.MULTILINE)
    texts = {"": parts[0], **dict(zip(parts[1::2], parts[2::2]))}
    texts["README"] = README.split("## Run")[0]
    texts["Try"] = README.split("## Try")[1].split("\n## ")[0]
    expected = numbers(book)
    assert set(expected) <= set(texts)
    for section, part in texts.items():
        found = set(NUMBER.findall(LEFT_OUT.sub("", part)))
        values = expected.get(section, {})
        assert found == set(values), f"section {section or 'one, the title'}"
        for written in found:
            number, unit = parse(written)
            least, most = np.ravel(values[written])[[0, -1]]
            assert least - unit <= number <= most + unit, written


@pytest.mark.parametrize("page", [PROSE, README], ids=["text", "README"])
def test_tables_of_the_six_errors(page, shown):
    """They are those that section 6 stores, rounded to one digit."""
    (stored,) = [text for _, text in shown if text.startswith("| dL/dW1 |")]
    rounded = [f"{float(n):.0e}" for n in re.findall(r"\d\.\de-\d+", stored)]
    pattern = r"\| W1 \| b1 \| W2 \| b2 \| W3 \| b3 \|\n.*\n\|.*?\| (.*) \|\n"
    (row,) = re.findall(pattern, page)
    assert row.split(" | ") == [n.replace("e-0", "e-") for n in rounded]
