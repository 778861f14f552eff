"""The proven bound holds everywhere, and is tight enough to be of use."""

import numpy as np
import pytest
import torch
from references import SIZES, distances, exact_gradients, random_point

# the last one has more parameters than move at a time
SHAPES = [SIZES, (1, 1, 1, 1, 1), (5, 2, 3, 1, 7), (4, 7, 5, 3, 2)]


def nearly_fitted(notebook, sizes, scale, residual, seed):
    """A random point whose targets are its outputs plus a residual."""
    parameters, x, noise = random_point(sizes, scale, seed)
    output = notebook.forward(parameters, x)[-1]
    return parameters, x, output + residual * noise


def single(parameters, x, y):
    """The point in single precision."""
    *parameters, x, y = (a.astype(np.float32) for a in (*parameters, x, y))
    return parameters, x, y


def own_bounds(notebook, point):
    """Bounds of the rounding of a gradient by backprop."""
    return notebook.unflatten(notebook.bound_parts(*point)[3], point[0])


def assert_within(errors, bounds):
    for error, bound in zip(errors, bounds, strict=True):
        assert error.shape == bound.shape
        assert (error <= bound).all()


def norm_ratios(notebook, point, h):
    """Norm of each gradient's bound over the norm of its error."""
    numerical = notebook.numerical_gradients(*point, h)
    error = notebook.norms(distances(numerical, exact_gradients(*point)))
    return notebook.norms(notebook.error_bounds(*point, h)) / error


@pytest.mark.parametrize("sizes", SHAPES)
@pytest.mark.parametrize("precision", ["double", "single"])
def test_no_error_is_outside_and_no_right_gradient_rejected(
    notebook, sizes, precision
):
    draw = np.random.RandomState(sum(sizes))
    for seed in range(50):
        scale, residual = 10 ** draw.uniform(-2, 1), 10 ** draw.uniform(-8, 0)
        point = nearly_fitted(notebook, sizes, scale, residual, seed)
        network = notebook.torch_network(point[0])
        if precision == "single":
            point, network = single(*point), network.float()
        exact, own = exact_gradients(*point), own_bounds(notebook, point)
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


@pytest.mark.parametrize("seed", range(20))
def test_it_holds_for_the_worst_roundings(notebook, monkeypatch, seed):
    """Push activations and losses as far as the assumptions allow."""
    u, draw = 2.0**-53, np.random.RandomState(seed)
    residual = 10 ** draw.uniform(-6, 0)
    point = nearly_fitted(notebook, SIZES, 1.0, residual, seed)
    exact, bounds = exact_gradients(*point), notebook.error_bounds(*point)
    names = notebook.numerical_gradients.__globals__
    sigmoid, loss = names["sigmoid"], names["mean_squared_loss"]

    def pushed_sigmoid(z):
        # exp may take 2u; the sum and the quotient have taken up to 2u
        return sigmoid(z) + draw.choice([-2 * u, 2 * u], z.shape)

    def pushed_loss(output, y):
        # square and division have taken two of the o + M roundings
        left = (sum(y.shape) - 2) * u
        return loss(output, y) * (1 + draw.choice([-left, left], (2, 46)))

    monkeypatch.setitem(names, "sigmoid", pushed_sigmoid)
    monkeypatch.setitem(names, "mean_squared_loss", pushed_loss)
    assert_within(
        distances(notebook.numerical_gradients(*point), exact), bounds
    )


def test_it_is_tight(notebook, point):
    steps = np.logspace(-7, -5, 9)
    here = [norm_ratios(notebook, point, h) for h in steps]
    points = [random_point(SIZES, 1.0, seed) for seed in range(20)]
    order_one = [norm_ratios(notebook, p, 1e-5) for p in points]
    # about 15 and 120 here: all roundings with the worst sign; three times
    # that is left for another order of summation
    assert np.median(here) <= 45
    assert np.median(order_one) <= 360
    # the slopes 1/4, 1/8 and 1/(6 sqrt 3) bound the truncation within a
    # factor of four where activations are 1/2, but not where errors cancel
    assert (norm_ratios(notebook, point, 0.1)[[0, 2, 3]] <= 4).all()
    # the loss is quadratic in the last layer
    truncation = notebook.unflatten(notebook.bound_parts(*point)[2], point[0])
    assert [t.any() for t in truncation] == [True] * 4 + [False] * 2


def test_what_is_not_the_gradient_is_outside(notebook, point):
    numerical = notebook.numerical_gradients(*point)
    bounds = notebook.error_bounds(*point)
    # twice the bound: the rounding of a gradient is far below the bound here
    for sign in (-2, 2):
        found = [n + sign * b for n, b in zip(numerical, bounds, strict=True)]
        for outside in notebook.outside_bounds(found, *point):
            assert outside.dtype == bool and outside.all()
    numerical[2][1, 3] = np.nan
    outside = notebook.outside_bounds(numerical, *point)
    assert [int(o.sum()) for o in outside] == [0, 0, 1, 0, 0, 0]


def test_it_is_infinite_where_something_overflows(notebook, point):
    parameters, x, y = point
    # the loss, or what enters the first layer, where nothing goes further
    loss, inside = single(parameters, x, 1e20 * y), single(*point)
    inside[0][0][0], inside[0][2][:] = (3e38, -3e38, 0), 0
    inside[1][:] = 10
    with np.errstate(all="ignore"):
        assert np.isinf(notebook.mean_squared_loss(loss[2], 0 * loss[2]))
        double = (parameters, x, 1e200 * y), (*point, 1e200)
        for spoiled in (loss, inside, *double):
            for bound in notebook.error_bounds(*spoiled):
                assert (bound == np.inf).all()
            # nothing can be told there
            found = notebook.backward(*spoiled[:3])
            outside = notebook.outside_bounds(found, *spoiled)
            assert not any(map(np.any, outside))


def test_every_fault_is_found_and_only_where_it_is(notebook, point):
    own, exact = own_bounds(notebook, point), exact_gradients(*point)
    assert len(notebook.faulty) == len(notebook.FAULTS) == 10
    for function in notebook.faulty.values():
        errors = distances(function(*point), exact)
        wrong = [(e > o).any() for e, o in zip(errors, own, strict=True)]
        outside = notebook.outside_bounds(function(*point), *point, 1e-3)
        assert any(wrong)
        assert list(map(np.any, outside)) == wrong
        for seed in range(5):
            other = random_point(SIZES, 1.0, seed)
            outside = notebook.outside_bounds(function(*other), *other)
            assert any(map(np.any, outside))


def test_the_verdicts_are_those_of_the_judges(notebook):
    verdicts = notebook.verdicts
    for judge in ("norm", "bound 1e-3", "complex"):
        assert set(verdicts[judge][:10]) == {"caught"}
    for fault, verdict in zip(notebook.FAULTS, verdicts["bound 1e-5"]):
        # the least damage is as large as the bound at this step
        assert verdict == "caught" or "1/4" in fault
    assert verdicts["PyTorch"].count("missed") == 5
    assert verdicts["Taylor"].count("missed") == 8
    # the worst entry of a right gradient is near the tolerance of "entry"
    for judge in set(verdicts) - {"fault", "entry"}:
        right, fitted = verdicts[judge][-2:]
        assert right == "passes"
        if judge == "norm":
            assert fitted.startswith("rejects")
        elif judge.startswith("bound"):
            assert fitted == "passes"


def test_pytorchs_gradcheck_gives_the_verdicts_of_its_judge(notebook, point):
    """The real torch.autograd.gradcheck on every fault, by gradient."""
    _, x, y = point

    class Loss(torch.autograd.Function):
        """The loss, with the gradients of a backward pass to be checked."""

        @staticmethod
        def forward(ctx, function, *parameters):
            arrays = [p.detach().numpy() for p in parameters]
            ctx.gradients = function(arrays, x, y)
            output = notebook.forward(arrays, x)[-1]
            return torch.tensor(notebook.mean_squared_loss(output, y))

        @staticmethod
        def backward(ctx, gradient):
            return None, *(gradient * torch.tensor(g) for g in ctx.gradients)

    for function in (notebook.backward, *notebook.faulty.values()):
        judged = notebook.rejections(function(*point), *point)["PyTorch"]
        for i, rejected in enumerate(judged):
            tensors = [torch.tensor(p) for p in point[0]]
            tensors[i].requires_grad_()
            passed = torch.autograd.gradcheck(
                Loss.apply, (function, *tensors), raise_exception=False
            )
            assert passed != rejected
