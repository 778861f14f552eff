"""Bad input is refused with a clear error; good input is left as it is."""

import copy
from itertools import product

import numpy as np
import pytest

GRADIENTS = ["backward", "numerical_gradients", "complex_step_gradients"]

# what each function is called with, by name, out of parameters, x and y
CALLS = {
    "forward": lambda notebook, parameters, x, y: notebook.forward(
        parameters, x
    ),
    **{
        name: lambda notebook, *point, name=name: getattr(notebook, name)(
            *point
        )
        for name in GRADIENTS
    },
}

SPOIL = {
    "a row too many": lambda array: np.vstack([array, array[:1]]),
    "a row too few": lambda array: array[:-1],
    "a column too many": lambda array: np.hstack([array, array[:, :1]]),
    "a column too few": lambda array: array[:, :-1],
    "transposed": lambda array: array.T,
    "a vector": lambda array: array[:, 0],
    "one column": lambda array: array[:, :1],
    "one row": lambda array: array[:1],
    "a number": lambda array: np.array(0.5),
    "empty": lambda array: array[:0],
}
SPOIL_BIAS = {
    "one entry too many": lambda array: np.append(array, 0.0),
    "one entry too few": lambda array: array[:-1],
    "one entry": lambda array: array[:1],
    "a column": lambda array: array[:, np.newaxis],
    "a number": lambda array: np.array(0.5),
    "empty": lambda array: array[:0],
}


def assert_refused(call, *came):
    """ValueError that says what was expected, and what came."""
    with pytest.raises(ValueError, match="expected") as refusal:
        call()
    for text in came:
        assert str(text) in str(refusal.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "which, how",
    [
        *product((0, 4), SPOIL),
        # W2 is square, its transpose is of the right shape
        *((2, how) for how in SPOIL if how != "transposed"),
        *product((1, 3, 5), SPOIL_BIAS),
    ],
)
def test_a_parameter_of_a_wrong_shape(notebook, point, call, which, how):
    parameters, x, y = point
    spoil = SPOIL_BIAS if which % 2 else SPOIL
    parameters[which] = spoil[how](parameters[which])
    assert_refused(
        lambda: CALLS[call](notebook, parameters, x, y),
        parameters[which].shape,
    )


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("count", [0, 5, 7])
def test_not_six_parameters(notebook, point, call, count):
    parameters, x, y = point
    parameters = (parameters * 2)[:count]
    assert_refused(lambda: CALLS[call](notebook, parameters, x, y), "got")


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "how",
    sorted(
        set(SPOIL) - {"a column too many", "a column too few", "one column"}
    ),
)
def test_inputs_of_a_wrong_shape(notebook, point, call, how):
    parameters, x, y = point
    x = SPOIL[how](x)
    assert_refused(lambda: CALLS[call](notebook, parameters, x, y), x.shape)


@pytest.mark.parametrize("call", CALLS)
def test_no_samples(notebook, point, call):
    parameters, x, y = point
    assert_refused(
        lambda: CALLS[call](notebook, parameters, x[:, :0], y[:, :0]), (3, 0)
    )


@pytest.mark.parametrize("call", GRADIENTS)
@pytest.mark.parametrize("how", SPOIL)
def test_targets_of_a_wrong_shape(notebook, point, call, how):
    parameters, x, y = point
    y = SPOIL[how](y)
    assert_refused(lambda: CALLS[call](notebook, parameters, x, y), y.shape)


@pytest.mark.parametrize("call", GRADIENTS)
@pytest.mark.parametrize(
    "how", ["a column too many", "a column too few", "one column"]
)
def test_inputs_and_targets_of_different_length(notebook, point, call, how):
    parameters, x, y = point
    x = SPOIL[how](x)
    assert_refused(lambda: CALLS[call](notebook, parameters, x, y), x.shape)


@pytest.mark.parametrize("call", GRADIENTS)
@pytest.mark.parametrize("which", range(6))
def test_a_stack_of_networks_has_no_single_gradient(
    notebook, point, call, which
):
    parameters, x, y = point
    parameters[which] = parameters[which][np.newaxis]
    assert_refused(
        lambda: CALLS[call](notebook, parameters, x, y),
        parameters[which].shape,
    )


@pytest.mark.parametrize("how", SPOIL)
def test_outputs_and_targets_of_different_shape(notebook, point, how):
    parameters, x, y = point
    output = notebook.forward(parameters, x)[-1]
    spoiled = SPOIL[how](y)
    assert_refused(
        lambda: notebook.mean_squared_loss(output, spoiled),
        output.shape,
        spoiled.shape,
    )
    spoiled = SPOIL[how](output)
    assert_refused(
        lambda: notebook.mean_squared_loss(spoiled, y),
        spoiled.shape,
        y.shape,
    )


def test_vectors_are_no_outputs_and_targets(notebook):
    assert_refused(
        lambda: notebook.mean_squared_loss(np.ones(2), np.ones(2)), (2,)
    )


@pytest.mark.parametrize("call", GRADIENTS[1:])
@pytest.mark.parametrize("h", [0, 0.0, -1e-5, np.inf, -np.inf, np.nan])
def test_a_step_that_is_none(notebook, point, call, h):
    assert_refused(lambda: getattr(notebook, call)(*point, h), h)


@pytest.mark.parametrize(
    "shapes",
    [((2,), (3,)), ((2, 1), (2,)), ((1,), (2,)), ((), (1,)), ((2, 3), (3, 2))],
)
def test_relative_error_of_different_shapes(notebook, shapes):
    a, b = map(np.ones, shapes)
    assert_refused(lambda: notebook.relative_error(a, b), *shapes)


@pytest.mark.parametrize("call", CALLS)
def test_nothing_that_came_in_is_changed(notebook, point, call):
    before = copy.deepcopy(point)
    for array in (*point[0], *point[1:]):
        array.flags.writeable = False
    CALLS[call](notebook, *point)
    assert len(point[0]) == 6
    for one, other in zip(
        (*point[0], *point[1:]), (*before[0], *before[1:]), strict=True
    ):
        np.testing.assert_array_equal(one, other, strict=True)


def test_results_are_no_views_of_what_came_in(notebook, point):
    parameters, x, y = point
    inputs = (*parameters, x, y)
    for call in CALLS.values():
        for result in call(notebook, parameters, x, y):
            assert not any(np.shares_memory(result, a) for a in inputs)


def test_the_pytorch_network_has_its_own_copy(notebook, point):
    parameters, _, _ = point
    network = notebook.torch_network(parameters)
    for array, tensor in zip(parameters, network.parameters(), strict=True):
        np.testing.assert_array_equal(tensor.detach().numpy(), array)
        assert not np.shares_memory(tensor.detach().numpy(), array)
