"""The proven bound holds everywhere, and is tight enough to be of use."""

from itertools import compress, product

import numpy as np
import pytest
import torch
from references import (
    SIZES,
    assert_within,
    distances,
    exact_gradients,
    norm_ratios,
    random_point,
    single,
)

# the last one has more parameters than move at a time
SHAPES = [SIZES, (1, 1, 1, 1, 1), (5, 2, 3, 1, 7), (4, 7, 5, 3, 2)]


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("precision", ["double", "single"])
def test_no_error_is_outside_and_no_right_gradient_rejected(
    notebook, sizes, precision
):
    draw = np.random.RandomState(sum(sizes))
    for seed in range(50):
        scale, residual = 10 ** draw.uniform(-2, 1), 10 ** draw.uniform(-8, 0)
        parameters, x, noise = random_point(sizes, scale, seed)
        output = notebook.forward(parameters, x)[-1]
        point = parameters, x, output + residual * noise
        network = notebook.torch_network(point[0])
        if precision == "single":
            point, network = single(*point), network.float()
        exact = exact_gradients(*point)
        own = notebook.unflatten(notebook.bound_parts(*point)[3], point[0])
        backprop = notebook.backward(*point)
        autograd = notebook.autograd_gradients(network, *point[1:])
        complex_step = notebook.complex_step_gradients(*point)
        for found in (backprop, autograd, complex_step):
            assert_within(distances(found, exact), own)
        for h in 10 ** draw.uniform(-7, -1, 3):
            numerical = notebook.numerical_gradients(*point, h)
            bounds = notebook.error_bounds(*point, h)
            assert_within(distances(numerical, exact), bounds)
            outside = notebook.outside_bounds(backprop, *point, h)
            assert not any(map(np.any, outside))


def scalar_bounds(theta, x, y, outputs, h, k):
    """The formulas of appendix A, every layer one unit: rounding to own."""
    u, beta = 2.0**-53, 1 / (6 * 3**0.5)
    s = u * (abs(theta[k]) + h)
    a, a_max, E, rho, da, d2a, d3a = abs(x), abs(x), 0, 0, 0, 0, 0
    for i in (0, 2, 4):
        W, dW, db = abs(theta[i]), k == i, k == i + 1
        size = (W + dW * (h + s)) * a_max + abs(theta[i + 1]) + db * (h + s)
        rho = W * rho + dW * E
        E = (W + dW * (h + s)) * E + 2 * u * size
        dz, d2z, d3z = W * da + dW * a + db, W * d2a, W * d3a
        if i < 4:
            E = E / 4 + 5 * u
            rho = rho / 4 + E * (dz + rho)
            da, d2a = dz / 4, d2z / 4 + beta * dz**2
            d3a = d3z / 4 + 3 * beta * dz * d2z + dz**3 / 8
            a, a_max = outputs[i // 2] + E, 1
    r = (1 + u) * abs(outputs[2] - y) + E + (h + s) * dz
    E_r = E + u * (r + E)
    R = (E_r * (2 * r + E_r) + 2 * u * (r + E_r) ** 2) / 2
    own = (E_r + 62 * u * (r + E_r)) * (dz + rho) + r * rho
    slip = (s + 2 * u * (h + s)) / h * r * dz
    return R / h, slip, h**2 / 6 * (3 * dz * d2z + r * d3z), own


def test_it_is_what_its_formulas_say(notebook):
    for seed in range(3):
        parameters, x, y = random_point((1, 1, 1, 1, 1), 3.0, seed)
        theta, x1, y1 = [p.item() for p in parameters], x.item(), y.item()
        outputs = [a.item() for a in notebook.forward(parameters, x)]
        for h, k in product((1e-5, 0.1), range(6)):
            found = notebook.bound_parts(parameters, x, y, h)[:, k]
            expected = scalar_bounds(theta, x1, y1, outputs, h, k)
            # gamma_n is n u but for n u of itself; the bound adds 2**-32
            np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_it_counts_the_terms_of_its_sums(notebook):
    parameters, x, y = random_point((1, 2, 3, 4, 5), 0.0)
    # x, W2 and W3 are zero: the roundings of the loss alone are left, two of
    # f - y and o + M of the sum of squares
    rounding = notebook.bound_parts(parameters, 0 * x, y, 1e-3)[0, 0]
    expected = (2 + 4 + 5) * 2.0**-53 * np.sum(y**2) / (2 * 5) / 1e-3
    assert rounding == pytest.approx(expected, rel=1e-2)
    # 7 inputs and a bias
    parameters, x, _ = random_point((7, 2, 3, 4, 5), 1.0)
    unmoved = np.zeros((1, 41)), np.zeros(1), np.finfo(float)
    errors, *_ = notebook.output_bounds(parameters, x, *unmoved)
    W1, b1 = map(np.abs, parameters[:2])
    expected = 8 * (W1 @ np.abs(x) + b1[:, np.newaxis]) / 4 + 5
    np.testing.assert_allclose(errors[0][0], expected * 2.0**-53, rtol=1e-9)
    assert notebook.gamma(2**24, 2.0**-24) == np.inf


def test_it_is_tight(notebook, point):
    steps = np.logspace(-7, -5, 9)
    here = [norm_ratios(notebook, point, h) for h in steps]
    points = [random_point(SIZES, 1.0, seed) for seed in range(20)]
    order_one = [norm_ratios(notebook, p, 1e-5) for p in points]
    # about 15 and 120 here: all roundings with the worst sign; three times
    # that is left for another order of summation
    assert np.median(here) <= 45
    assert np.median(order_one) <= 360
    # the loss is quadratic in the last layer
    truncation = notebook.bound_parts(*point)[2]
    assert truncation[:-10].all() and not truncation[-10:].any()


def test_what_is_not_the_gradient_is_outside(notebook, point):
    numerical = notebook.numerical_gradients(*point)
    bounds = notebook.error_bounds(*point)
    # twice the bound: the rounding of a gradient is far below the bound here
    for sign in (-2, 2):
        found = [n + sign * b for n, b in zip(numerical, bounds)]
        for outside in notebook.outside_bounds(found, *point):
            assert outside.dtype == bool and outside.all()
    numerical[2][1, 3] = np.nan
    outside = notebook.outside_bounds(numerical, *point)
    assert [int(o.sum()) for o in outside] == [0, 0, 1, 0, 0, 0]


def test_it_is_infinite_where_something_overflows(notebook, point):
    parameters, x, y = point
    # the loss; what enters the first layer, where nothing goes further; the
    # moved parameter, which an input of zero multiplies
    loss = *single(parameters, x, 1e20 * y), 1e-5
    inside, moved = (*single(*point), 1e-5), (*single(*point), 1e38)
    inside[0][0][0], inside[0][2][:] = (3e38, -3e38, 0), 0
    inside[1][:] = 10
    moved[0][0][0, 0], moved[1][0] = 3e38, 0
    double = (parameters, x, 1e200 * y, 1e-5), (*point, 1e200)
    with np.errstate(all="ignore"):
        for spoiled in (loss, inside, moved, *double):
            numerical = notebook.numerical_gradients(*spoiled)
            bounds = notebook.error_bounds(*spoiled)
            assert np.isinf(bounds[0][0, 0])
            for found, bound in zip(numerical, bounds, strict=True):
                assert np.isinf(bound[~np.isfinite(found)]).all()
            found = notebook.backward(*spoiled[:3])
            outside = notebook.outside_bounds(found, *spoiled)
            assert not outside[0][0, 0]


def test_every_fault_is_found_and_only_where_it_is(notebook, point):
    exact = exact_gradients(*point)
    own = notebook.unflatten(notebook.bound_parts(*point)[3], point[0])
    assert len(notebook.faulty) == 10
    for k, function in enumerate(notebook.faulty.values()):
        errors = distances(function(*point), exact)
        wrong = [(e > o).any() for e, o in zip(errors, own, strict=True)]
        outside = notebook.outside_bounds(function(*point), *point, 1e-3)
        assert any(wrong)
        assert list(map(np.any, outside)) == wrong
        spoiled = " ".join(compress(notebook.NAMES, wrong))
        assert notebook.damage["spoils"][k] == spoiled
        pairs = list(zip(function(*point), notebook.reference))
        for norm, name in ((np.linalg.norm, "norm"), (np.abs, "entry")):
            off = [np.max(notebook.relative_error(*p, norm)) for p in pairs]
            assert notebook.damage[f"{name} off by"][k] == max(off)
        for seed in range(5):
            other = random_point(SIZES, 1.0, seed)
            outside = notebook.outside_bounds(function(*other), *other)
            assert any(map(np.any, outside))


def test_the_verdicts_are_those_of_the_judges(notebook, point):
    caught, missed, controls = {}, {}, {}
    for judge, verdicts in notebook.verdicts.items():
        caught[judge] = verdicts[:10].count("caught")
        missed[judge] = verdicts[:10].count("missed")
        controls[judge] = verdicts[10:]
    # the least damage, plus noise, is near both tolerances: noticed or not
    assert caught.pop("bound") >= 9 and caught.pop("entry") >= 9
    assert controls["entry"][0] == "passes"
    assert (caught.pop("PyTorch"), missed["PyTorch"]) == (2, 5)
    assert (caught.pop("Taylor"), missed["Taylor"]) == (3, 7)
    assert set(caught.values()) == {10}
    for judge in ("bound", "bound, 1e-3", "PyTorch", "Taylor"):
        assert controls[judge] == ["passes"] * 3
    for judge in ("norm, 1e-3", "complex"):
        assert controls[judge][::2] == ["passes"] * 2
    assert controls["norm"][0] == "rejects W1 b1"
    assert controls["norm, 1e-3"][1].startswith("rejects")
    found = [g * (1 + 2e-12) for g in notebook.reference]
    assert notebook.rejections(found, *point)["complex"] == [True] * 6


def test_pytorchs_gradcheck_gives_the_verdicts_of_its_judge(notebook, point):
    """The real torch.autograd.gradcheck on every fault, by gradient."""
    _, x, y = point

    class Loss(torch.autograd.Function):
        """The loss, with the gradients of a backward pass to be checked."""

        @staticmethod
        def forward(ctx, function, *parameters):
            arrays = [p.detach().numpy() for p in parameters]
            ctx.found = [*map(torch.tensor, function(arrays, x, y))]
            output = notebook.forward(arrays, x)[-1]
            return torch.tensor(notebook.mean_squared_loss(output, y))

        @staticmethod
        def backward(ctx, gradient):
            return None, *(gradient * found for found in ctx.found)

    for function in (notebook.backward, *notebook.faulty.values()):
        judged = notebook.rejections(function(*point), *point)["PyTorch"]
        for i, rejected in enumerate(judged):
            tensors = [torch.tensor(p) for p in point[0]]
            tensors[i].requires_grad_()
            passed = torch.autograd.gradcheck(
                Loss.apply, (function, *tensors), raise_exception=False
            )
            assert passed != rejected
