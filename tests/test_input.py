"""Bad input is refused with a clear error; good input is left as it is."""

import copy
from itertools import product

import numpy as np
import pytest

STEPPED = ["numerical_gradients", "complex_step_gradients", "error_bounds"]
every_call = pytest.mark.parametrize(
    "call", ["forward", "backward", *STEPPED, "outside_bounds"]
)

SPOIL = {
    "a row too many": lambda array: np.vstack([array, array[:1]]),
    "a column too many": lambda array: np.hstack([array, array[:, :1]]),
    "transposed": lambda array: array.T,
    "a vector": lambda array: array[:, 0],
    "one row": lambda array: array[:1],
    "a number": lambda array: np.array(0.5),
    "no rows": lambda array: array[:0],
    "no columns": lambda array: array[:, :0],
    "a stack": lambda array: array[np.newaxis],
}
SPOIL_BIAS = {
    "one entry too many": lambda array: np.append(array, 0.0),
    "one entry": lambda array: array[:1],
    "a column": lambda array: array[:, np.newaxis],
    "a number": lambda array: np.array(0.5),
    "a stack": lambda array: array[np.newaxis],
}


def call_it(notebook, call, parameters, x, y):
    """What the function of that name returns for this point."""
    if call == "forward":
        outputs = notebook.forward(parameters, x)
        return *outputs, notebook.mean_squared_loss(outputs[-1], y)
    if call == "outside_bounds":
        return notebook.outside_bounds(parameters, parameters, x, y)
    return getattr(notebook, call)(parameters, x, y)


def assert_refused(came, function, *arguments):
    """ValueError that says what was expected, and what came."""
    with pytest.raises(ValueError, match="expected") as refusal:
        function(*arguments)
    assert str(came) in str(refusal.value)


@every_call
@pytest.mark.parametrize(
    "which, how",
    [
        *product((0, 4, 6, 7), SPOIL),
        # W2 is square, its transpose is of the right shape
        *((2, how) for how in SPOIL if how != "transposed"),
        *product((1, 3, 5), SPOIL_BIAS),
    ],
)
def test_an_array_of_a_wrong_shape(notebook, point, call, which, how):
    arrays = [*point[0], *point[1:]]
    spoil = SPOIL_BIAS if which in (1, 3, 5) else SPOIL
    arrays[which] = spoil[how](arrays[which])
    # forward takes any number of samples, which the loss compares
    came = arrays[which].shape
    if (call, which, how) == ("forward", 6, "a column too many"):
        came = (2, 6)
    assert_refused(came, call_it, notebook, call, arrays[:6], *arrays[6:])


@every_call
def test_not_six_parameters_or_a_stack_of_all(notebook, point, call):
    parameters, x, y = point
    for wrong in ([], parameters[:5], parameters[:1] + parameters):
        assert_refused("got", call_it, notebook, call, wrong, x, y)
    stacked = [p[np.newaxis] for p in parameters], x, y[np.newaxis]
    assert_refused("got", call_it, notebook, call, *stacked)
    autograd, model = notebook.autograd_gradients, notebook.model
    for pair in ((x.T, y), (x, y.T), (x[:-1], y), (x[:, 1:], y)):
        assert_refused("got", autograd, model, *pair)


@pytest.mark.parametrize("call", [*STEPPED, "outside_bounds"])
@pytest.mark.parametrize("h", [0, -1e-5, np.inf, -np.inf, np.nan, 1.7e308])
def test_a_step_that_is_none(notebook, point, call, h):
    found = [point[0]] if call == "outside_bounds" else []
    assert_refused(h, getattr(notebook, call), *found, *point, h)
    # a step that single precision cannot hold
    *single, x, y = (a.astype(np.float32) for a in (*point[0], *point[1:]))
    tiny = single, x, y, 1e-60
    assert_refused(1e-60, getattr(notebook, call), *found, *tiny)


def test_gradients_of_a_wrong_shape_are_not_judged(notebook, point):
    right = notebook.backward(*point)
    for which in range(6):
        found = [g[..., 0] if i == which else g for i, g in enumerate(right)]
        came = found[which].shape
        assert_refused(came, notebook.outside_bounds, found, *point)
        pair = found[which], right[which]
        assert_refused(came, notebook.relative_error, *pair)
    assert_refused("got", notebook.outside_bounds, right[:5], *point)


@every_call
def test_nothing_that_was_passed_is_changed_or_returned(notebook, point, call):
    before = copy.deepcopy(point)
    inputs = (*point[0], *point[1:])
    for array in inputs:
        array.flags.writeable = False
    network = notebook.torch_network(point[0])
    copies = [p.detach().numpy() for p in network.parameters()]
    for result in (*call_it(notebook, call, *point), *copies):
        assert not any(np.shares_memory(result, array) for array in inputs)
    for one, other in zip(inputs, (*before[0], *before[1:]), strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
