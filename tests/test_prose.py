"""Every number and every finding in the text is borne out by the data.

A claim is a piece of the text, word for word, and a check of the data. What is
rounding noise is checked in a fresh run and in the stored tables, too.
"""

import numpy as np
import pytest
from test_shown import numbers, table


class Data:
    """What the claims are checked against."""

    def __init__(self, run):
        names = run.names
        self.names = names
        self.run = run
        text = {}
        for which in (0, 1):
            shown = run.show('"numerical gradient: error in norms"')[
                which
            ][1]
            text[which] = [
                numbers(c) for c in list(table(shown)[1].values())[1:]
            ]
        self.tables = text.values()
        self.right = names.gradients["backprop"]
        self.norms = [np.linalg.norm(g) for g in self.right]
        self.backprop = names.flatten(self.right)
        self.q = 2.0**-52 / 2e-5

    def in_all_tables(self, check):
        """Whether a check of the four columns of section 6.1 holds."""
        return all(check(*columns) for columns in self.tables)


def near(value, stated, factor=1.5):
    """Whether a noisy value is about as large as stated."""
    return stated / factor <= value <= stated * factor


def same(value, stated, digits):
    """Whether a value is the stated one, to so many digits."""
    return abs(value / stated - 1) <= 0.51 * 10.0 ** (1 - digits)


SUBMISSION = {
    # the title
    "(autograd) are the same, with relative errors below 1e-14.": lambda d: (
        d.in_all_tables(
            lambda num, most, auto, worst: (auto < 1e-14).all()
        )
    ),
    "with relative errors between about 2e-11 (for b3) and about 2e-6 (for b1).": lambda d: (
        d.in_all_tables(
            lambda num, most, auto, worst: (
                (np.argmin(num), np.argmax(num)) == (5, 1)
                and near(num[5], 2e-11)
                and near(num[1], 2e-6)
            )
        )
    ),
    "because rounding the loss puts each of their entries off by up to about 2e-11.": lambda d: (
        np.abs(d.names.numerical - d.backprop).max() < 3e-11
    ),
    "The numerical gradients differ from them by at most about 2e-11 in every entry": lambda d: (
        np.abs(d.names.numerical - d.backprop).max() < 3e-11
    ),
    # 1 to 3
    "For $z$ below about $-709$ the power $e^{-z}$ is larger than the largest": lambda d: (
        np.isfinite(np.exp(709.0)) and np.log(np.finfo(float).max) < 710
    ),
    "All hidden outputs are close to 1/2.": lambda d: (
        d.names.farthest < 0.01
    ),
    "Here $M = 5$ is the number of samples": lambda d: (
        d.names.x.shape == (3, 5)
    ),
    "The weights are of order 0.01 and the biases are zero": lambda d: (
        all(
            (0.003 < np.abs(p).mean() < 0.03)
            if p.ndim == 2
            else not p.any()
            for p in d.names.parameters
        )
    ),
    "so the loss is $\\tfrac12\\,(12.5 + 0) = 6.25$": lambda d: (
        d.names.mean_squared_loss(d.names.misses, np.zeros((2, 2)))
        == 6.25
    ),
    "To see that $d\\mathcal{L}/dw_1 = 0.75$ is right": lambda d: (
        abs(d.names.growth / 0.001 - 0.75) < 0.01
    ),
    "$\\delta_1 = 2 \\cdot \\tfrac38 \\cdot \\tfrac14 = \\tfrac{3}{16}$": lambda d: (
        [g.item() for g in d.names.small_gradients]
        == [3 / 8, 3 / 16, 3 / 16, 3 / 8, 1 / 4, 1 / 2]
    ),
    "the norms become more than a hundred times smaller": lambda d: all(
        d.norms[i] > 100 * d.norms[i - 2] for i in (2, 3, 4, 5)
    ),
    # 4, 5
    "`unit_vectors` yields all unit vectors, at most 48 at a time": lambda d: (
        len(next(d.names.unit_vectors(np.zeros(100)))) == 48
    ),
    "The central quotient gives 13 and 2 to six digits after the point.": lambda d: (
        np.abs(d.names.central - [13, 2]).max() < 5e-7
    ),
    "The one-sided quotient is off by 0.00006.": lambda d: (
        abs(d.names.one_sided[0] - 13 - 0.00006) < 5e-6
    ),
    "the derivative that is smallest in absolute value, with respect to W1[3, 2].": lambda d: (
        d.backprop.size == 46
        and divmod(int(np.abs(d.backprop).argmin()), 3) == (3, 2)
    ),
    "With two outputs both are $\\frac{1}{2M}$ of the same sum, so that here `nn.MSELoss()` happens to be right. With three outputs it is wrong": lambda d: (
        [
            bool(
                d.names.torch_loss(ones, 0 * ones)
                == d.names.nn.MSELoss()(ones, 0 * ones)
            )
            for ones in (
                d.names.torch.ones(5, 2),
                d.names.torch.ones(5, 3),
            )
        ]
        == [True, False]
    ),
    "numbers near 1 are stored to about 1e-16 and numbers near 0.02 to about 1e-18": lambda d: (
        near(np.spacing(1.0), 1e-16, 3)
        and near(np.spacing(0.02), 1e-18, 4)
    ),
    # 6, 7.1, 7.2
    "so the relative error is $1/\\sqrt{34} \\approx 0.1715$": lambda d: (
        same(34**-0.5, 0.1715, 4)
    ),
    "errors from about 2e-6 in the first layer to a few 1e-11 in the last": lambda d: (
        d.in_all_tables(
            lambda num, *_: (
                near(num[:2].max(), 2e-6) and near(num[4:].min(), 2e-11)
            )
        )
    ),
    "The relative errors in norms are 2e-11 for b3 and 2e-6 for b1": lambda d: (
        d.in_all_tables(
            lambda num, *_: near(num[5], 2e-11) and near(num[1], 2e-6)
        )
    ),
    "As one vector, the gradients pass by far.": lambda d: (
        d.names.in_one_vector < 2e-9
    ),
    "W3 and b3 are good. The largest errors of entries of W1, b1, W2 and b2 lie between 1e-7 and 1e-4": lambda d: (
        d.in_all_tables(
            lambda num, most, *_: (
                (most[4:] < 1e-7).all()
                and (most[:4] > 1e-7).all()
                and (most[:4] < 1e-4).all()
            )
        )
    ),
    "So a mistake of this kind is excluded. An error of 1e-5 leaves five digits confirmed.": lambda d: (
        d.names.wrong_error > 0.1
    ),
    "The first is $t^3$, whose derivative is 12.": lambda d: (
        d.names.cubed[0] == 12
    ),
    "has no imaginary part": lambda d: d.names.modulus[0] == 0,
    "No unit of this network is anywhere near.": lambda d: (
        min(t.min() for t in (d.names.torch_z1, d.names.torch_z2)) > -1
    ),
    "In norms, it agrees with autograd and with the complex step to about 15 digits": lambda d: (
        all(
            max(d.names.against_complex_step[m]) < 5e-15
            for m in ("backprop", "autograd")
        )
    ),
    # 7.3
    "the doubles lie $2^{-52} =$ 2.2e-16 apart": lambda d: (
        same(2.0**-52, 2.2e-16, 2) and np.spacing(1.0) == 2.0**-52
    ),
    "The loss is 1.0595,": lambda d: same(d.names.loss, 1.0595, 5),
    "q = \\frac{2^{-52}}{2h} \\approx 1.1 \\cdot 10^{-11}": lambda d: (
        same(d.q, 1.1e-11, 2) and d.names.q == d.q
    ),
    "of the order of $q$, here less than $2q$": lambda d: (
        np.abs(d.names.errors_in_q).max() < 4
    ),
    "the two losses are about 26,575 ticks apart, and an error of one tick would be 4e-5 of it": lambda d: (
        abs(np.abs(d.backprop).min() / d.q - 26575) < 5
        and same(d.q / np.abs(d.backprop).min(), 4e-5, 1)
    ),
    "For the largest they are about 5e10 ticks apart, and the same error would be 2e-11": lambda d: (
        same(np.abs(d.backprop).max() / d.q, 5e10, 1)
        and same(d.q / np.abs(d.backprop).max(), 2e-11, 1)
    ),
    "Since $q = u / h$ and $\\mathcal{L}$ is close to 1 here, the estimate is close to $q$": lambda d: (
        near(2.0**-53 * d.names.loss / 1e-5, d.q, 1.1)
    ),
    "The trend is as predicted, and the gain is a few times larger than predicted.": lambda d: (
        all(
            0.5 < np.median(gain) / (d.names.size_ratio / divisor) < 20
            for divisor, gain in d.names.gains.items()
        )
    ),
    # 7.4
    "for steps from about 1e-10 on, and": lambda d: all(
        near(
            d.names.measured["W1"][k],
            d.names.rounding_estimate("W1", d.names.steps[k]),
            8,
        )
        for k in range(7, 26)
    ),
    "which divides by the larger of the two norms, stays near 1.": lambda d: (
        all(0.3 < error < 2.1 for error in d.names.measured["W1"][:6])
    ),
    "and a step some fifty times longer would be better": lambda d: (
        near(d.names.best_step("W1") / 1e-5, 50)
        and min(d.names.measured["W1"])
        < d.names.agreement["numerical"][0] / 3
    ),
    "There the longest steps of the figure are the best.": lambda d: (
        np.argmin(d.names.measured["W3"]) >= 36
    ),
    "Truncation is below 1e-11 of each gradient and far below its rounding.": lambda d: (
        all(
            d.names.truncation_estimate(name, 1e-5) < 1e-11
            and d.names.truncation_estimate(name, 1e-5)
            < d.names.rounding_estimate(name, 1e-5) / 100
            for name in d.names.NAMES
        )
    ),
    "the estimate gives their size to a factor of two or so": lambda d: (
        d.in_all_tables(
            lambda num, *_: all(
                near(num[i], d.names.rounding_estimate(name, 1e-5), 4)
                for i, name in enumerate(d.names.NAMES)
            )
        )
    ),
    # 7.5, 7.6
    "The relative errors differ by five orders of magnitude because the gradients do.": lambda d: (
        d.in_all_tables(
            lambda num, *_: 10**4.3 < num.max() / num.min() < 10**5.7
        )
        and 10**4.3 < max(d.norms) / min(d.norms) < 10**5.7
    ),
    "The absolute errors are alike.": lambda d: (
        max(d.names.error_sizes) < 5 * min(d.names.error_sizes)
    ),
    "every entry is a difference of two losses near 1.06": lambda d: same(
        d.names.loss, 1.06, 3
    ),
    "The slopes are $\\tfrac14$ to four digits, and the predictions agree to about as many.": lambda d: (
        d.names.slopes.min() > 0.24995
        and abs(d.names.factor / d.names.predicted - 1) < 5e-4
    ),
    "b1 is tens of thousands of times smaller than that of b3": lambda d: (
        1e4 < d.norms[5] / d.norms[1] < 1e5
    ),
    "the relative error between autograd and backpropagation is larger, up to some 1e-13": lambda d: (
        d.in_all_tables(
            lambda num, most, auto, worst: 1e-14 < worst.max() < 5e-13
        )
    ),
    "A factor of several hundred costs between two and three digits. It is found for b2[0] and b3[1]": lambda d: (
        all(
            300 < np.abs(delta[k]).sum() / abs(delta[k].sum()) < 1000
            for delta, k in ((d.names.delta2, 0), (d.names.delta3, 1))
        )
    ),
}

APPENDIX = {
    "default tolerances overlooks five of ten planted mistakes altogether": lambda d: (
        list(
            d.names.words["gradcheck\nh = 1e-6\na = 1e-5"].values()
        ).count("missed")
        == 5
    ),
    "Three of seven checks find all ten. Two of these three reject right gradients": lambda d: (
        sorted(
            list(words.values()).count("rejected") > 0
            for words in d.names.words.values()
            if d.names.count_found(words) == 10
        )
        == [False, True, True]
    ),
    "every check finds all ten mistakes": lambda d: all(
        d.names.count_found(words) == 10
        for words in d.names.words_order_one.values()
    ),
    "## A.2 Seven judges": lambda d: len(d.names.words) == 7,
    "1e-5, is larger than nearly all entries of the gradients of W1 and b1": lambda d: (
        np.mean(
            np.abs(np.concatenate([d.right[0].ravel(), d.right[1]]))
            < 1e-5
        )
        > 0.9
    ),
    "With 1e-9, gradcheck finds eight of ten.": lambda d: (
        d.names.count_found(
            d.names.words["gradcheck\nh = 1e-6\na = 1e-9"]
        )
        == 8
    ),
    "With the step and the limit 1e-5 in place of those of the exercise, even fewer": lambda d: (
        d.names.count_found(
            d.names.variant_words["vector, h = 1e-5, limit 1e-5"]
        )
        < d.names.count_found(
            d.names.words["vector\nh = 1e-7\nlimit 2e-7"]
        )
    ),
    "a limit of 1e-6 rejects the right gradients of W1 and b1 at $h = 10^{-5}$, where rounding makes an error of about 2e-6": lambda d: (
        d.in_all_tables(
            lambda num, *_: (
                (num[:2] > 1e-6).all() and near(num[:2].max(), 2e-6)
            )
        )
        and d.names.words["norm\nh = 1e-5\nlimit 1e-6"]["right"]
        == "rejected"
    ),
    "At $h = 10^{-3}$ all verdicts of this judge are right with the sheets' numbers.": lambda d: (
        d.names.count_found(d.names.words["norm\nh = 1e-3\nlimit 1e-6"])
        == 10
        and d.names.words["norm\nh = 1e-3\nlimit 1e-6"]["right"]
        == "passed"
    ),
    "Near a fit, the limits for entries and for norms reject right gradients here, because": lambda d: (
        all(
            (words["right, near a fit"] == "rejected")
            == judge.startswith(("entry", "norm"))
            for judge, words in d.names.words.items()
        )
    ),
    "With $t = 10^{-3}$ all its verdicts are right here, with $t = 10^{-2}$ they are not.": lambda d: (
        set(d.names.words["Taylor\nt = 1e-3\norder 1.9"].values())
        == {"found", "passed"}
        and set(d.names.variant_words["Taylor, t = 1e-2"].values())
        != {"found"}
        and "rejected"
        in d.names.variant_right["Taylor, t = 1e-2"].values()
    ),
    "In a network whose sizes all differ, three of the ten mistakes": lambda d: (
        [
            len(text.splitlines())
            for text, *_ in d.run.show("unlike_shapes = [")
        ]
        == [3, 3]
    ),
    "these numbers are, in norms, some ten to a hundred times larger than the errors": lambda d: (
        3 < d.names.ratios.min() and d.names.ratios.max() < 300
    ),
    "Its derivatives are $2 t_0 t_1$ and $t_0^2$, at this point 0.6 and 9.": lambda d: (
        d.names.tried_at.tolist() == [3.0, 0.1]
    ),
    "of forty networks with random weights": lambda d: (
        len(d.names.networks) == 40
    ),
    "No single entry is above its bound": lambda d: (
        max(d.names.largest_shares) <= 1
    ),
    "No right gradient is rejected, with the sheets' numbers or near a fit.": lambda d: (
        all(
            set(words.values()) == {"passed"}
            for words in d.names.proven_right.values()
        )
    ),
    "The complex step finds all ten mistakes, and so does the bound at $h = 10^{-3}$.": lambda d: (
        all(
            d.names.count_found(d.names.proven_words[judge]) == 10
            for judge in ("complex step", "bound, h = 1e-3")
        )
    ),
    "the bound finds one mistake only in part, the slope 1/4 in layer 1": lambda d: (
        d.names.proven_words["bound, h = 1e-5"]["slope 1/4 in layer 1"]
        == "in part"
        and list(d.names.proven_words["bound, h = 1e-5"].values()).count(
            "found"
        )
        >= 9
    ),
    "the complex step keeps well within what it is allowed": lambda d: (
        max(d.names.complex_shares) < 0.9
    ),
    "the ticks of the ruler lie $2^{-23} =$ 1.2e-7 apart": lambda d: (
        same(2.0**-23, 1.2e-7, 2)
        and np.spacing(np.float32(1)) == 2.0**-23
    ),
    "\\approx 0.006$ in the numerical gradient, hundreds of times more than any entry": lambda d: (
        same(2.0**-23 / 2e-5, 0.006, 1)
        and 0.006 / np.abs(d.right[0]).max() > 100
    ),
    "the two losses are at most one tick or so apart": lambda d: (
        np.abs(d.names.ticks32[:36]).max() <= 3
    ),
    "each of up to $2^{-24} =$ 6e-8 of a number": lambda d: same(
        2.0**-24, 6e-8, 1
    ),
    "and for one with 40 units in each hidden layer": lambda d: (
        [p.shape for p in d.names.wide_parameters[::2]]
        == [(40, 3), (40, 40), (2, 40)]
    ),
    "cost about a hundred times more than in the small one": lambda d: (
        all(
            d.names.wide_times[m] / d.names.times[m] > 5
            for m in ("complex step", "numerical gradient")
        )
    ),
    "Backpropagation stays at a small multiple of a forward pass": lambda d: (
        d.names.wide_times["backprop"] < 20
    ),
    "the same check shows which entries are wrong": lambda d: (
        d.names.check(
            d.names.my_wrong_backward, d.names.my_loss, d.names.my_weights
        ).tolist()
        == [True] * 15 + [False] * 10
    ),
}


@pytest.fixture(scope="session")
def data(submission):
    return Data(submission)


@pytest.fixture(scope="session")
def appendix_data(appendix):
    return Data(appendix)


@pytest.mark.parametrize("claim", SUBMISSION)
def test_a_claim_of_the_submission(prose, data, claim):
    assert prose.count(claim) == 1
    assert SUBMISSION[claim](data)


@pytest.mark.parametrize("claim", APPENDIX)
def test_a_claim_of_the_appendix(prose, appendix_data, claim):
    assert prose.count(claim) == 1
    assert APPENDIX[claim](appendix_data)
