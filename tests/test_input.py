"""Arrays as people have them give the right result or a clear error."""

import copy
import warnings

import numpy as np
import pytest
import torch
from references import random_point, sheet_point

ONE_HOT = np.eye(2, dtype=int)[[0, 1, 1, 0, 1]].T

# {name: how x, y and the parameters come, and as which type they count}
KINDS = {
    "float32": lambda a: a.astype(np.float32),
    "integers": lambda a: np.rint(3 * a).astype(int),
    "unsigned integers": lambda a: np.abs(np.rint(3 * a)).astype(
        np.uint8
    ),
    "booleans": lambda a: a > 0,
    "read-only": lambda a: np.frombuffer(a.tobytes()).reshape(a.shape),
    "negative strides": lambda a: np.ascontiguousarray(a[..., ::-1])[
        ..., ::-1
    ],
    "Fortran order": np.asfortranarray,
    "big-endian": lambda a: a.astype(">f8"),
    "a tensor": torch.tensor,
    "a tensor with a gradient": lambda a: torch.tensor(
        a, requires_grad=True
    ),
    "nested lists": lambda a: a.tolist(),
    "a matrix of NumPy": lambda a: np.matrix(a) if a.ndim == 2 else a,
}


def plain(array):
    """What an array of one of the kinds means: floats, float32 kept."""
    if isinstance(array, torch.Tensor):
        return array.detach().numpy()
    array = np.array(array)
    if array.dtype == np.float32:
        return array
    return array.astype(np.float64)


def results(names, parameters, x, y):
    """What every function that takes arrays makes of this point."""
    outputs = names.forward(parameters, x)
    gradients = names.backward(parameters, x, y)
    f = names.loss_function(parameters, x, y)
    theta = names.flatten(parameters)
    network = names.torch_network(parameters)
    rounding = names.backward_rounding(parameters, x, y)
    return {
        "forward": list(outputs),
        "loss": [names.mean_squared_loss(outputs[-1], y), f(theta)],
        "backward": gradients,
        "numerical": [names.numerical_gradient(f, theta)],
        "complex step": [names.complex_step_gradient(f, theta)],
        "autograd": names.autograd_gradients(network, x, y),
        "bounds": [names.error_bounds(f, theta, 1e-3)],
        "rounding": [rounding],
        "outside": [
            names.outside_bounds(gradients, f, theta, 1e-3, rounding)
        ],
        "sigmoid": [names.sigmoid(x)],
        "errors": [
            names.relative_error(parameters[0], 2 * gradients[0]),
            names.entry_errors(parameters[0], 2 * gradients[0]),
        ],
    }


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("which", ["data", "parameters", "all"])
def test_every_kind_of_array_gives_the_result_of_plain_ones(
    definitions, kind, which
):
    parameters, x, y = sheet_point()
    parameters = [p + 0.5 for p in parameters]  # no column of zeros
    convert = KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        if which in ("parameters", "all"):
            parameters = [convert(p) for p in parameters]
        if which in ("data", "all"):
            x, y = convert(x), convert(y)
    expected = results(
        definitions, [plain(p) for p in parameters], plain(x), plain(y)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = results(definitions, parameters, x, y)
    for name, arrays in expected.items():
        for one, other in zip(found[name], arrays, strict=True):
            assert isinstance(one, (np.ndarray, np.generic, float)), name
            assert np.asarray(one).dtype == np.asarray(other).dtype, name
            # orders of summation differ with the memory order
            np.testing.assert_allclose(
                np.asarray(one, float),
                np.asarray(other, float),
                1e-5,
                1e-6,
            )


def test_one_hot_targets_and_integer_points(definitions):
    parameters, x, _ = random_point()
    found = definitions.backward(parameters, x, ONE_HOT)
    expected = definitions.backward(parameters, x, ONE_HOT.astype(float))
    for one, other in zip(found, expected):
        np.testing.assert_array_equal(one, other)

    def square(t):
        return (t**2).sum(axis=-1)

    for theta in ([3, 4], np.array([3, 4]), np.array([True, False])):
        exact = 2 * np.asarray(theta, float)
        for name in ("numerical_gradient", "complex_step_gradient"):
            gradient = getattr(definitions, name)(square, theta)
            assert gradient.dtype == np.float64
            np.testing.assert_allclose(gradient, exact, atol=1e-9)
        bounds = definitions.error_bounds(square, theta)
        assert (bounds >= 0).all() and (bounds < 1e-9).all()


REFUSED = {
    "strings": ["a", "b"],
    "None": None,
    "half precision": np.ones(3, np.float16),
    "objects": np.array([1, None]),
    "rows of different lengths": [[1.0, 2.0], [3.0]],
    "a mask": np.ma.array([1.0, 2.0], mask=[True, False]),
    "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "a sparse tensor": torch.eye(3).to_sparse(),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_array_of_numbers_is_refused(definitions, kind):
    wrong = REFUSED[kind]
    parameters, x, y = random_point()
    calls = [
        lambda: definitions.sigmoid(wrong),
        lambda: definitions.flatten([wrong]),
        lambda: definitions.relative_error(wrong, wrong),
        lambda: definitions.numerical_gradient(
            lambda t: t.sum(-1), wrong
        ),
        lambda: definitions.forward([wrong, *parameters[1:]], x),
        lambda: definitions.forward(parameters, wrong),
        lambda: definitions.backward(parameters, x, wrong),
        lambda: definitions.mean_squared_loss(y, wrong),
        lambda: definitions.loss_function(parameters, x, wrong),
        lambda: definitions.torch_network([*parameters[:5], wrong]),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="expected .* got"):
            call()


# ------------------------------------------------------------ wrong shapes

TAKING_A_POINT = [
    "forward",
    "backward",
    "loss_function",
    "backward_rounding",
    "autograd_rounding",
    "autograd",
]


def call_it(names, call, parameters, x, y):
    """What the function of that name makes of this point."""
    if call == "forward":
        output = names.forward(parameters, x)[-1]
        return names.mean_squared_loss(output, y)
    if call == "autograd":
        network = names.torch_network(parameters)
        return names.autograd_gradients(network, x, y)
    return getattr(names, call)(parameters, x, y)


SPOIL = {
    "W1, a row too many": (0, lambda a: np.vstack([a, a[:1]]), "(5, 3)"),
    "W1, transposed": (0, lambda a: a.T, "(3, 4)"),
    "W1, a vector": (0, lambda a: a[:, 0], "(4,)"),
    "b1, a column": (1, lambda a: a[:, np.newaxis], "(4, 1)"),
    "b1, one entry": (1, lambda a: a[:1], "(1,)"),
    "W2, a column too many": (
        2,
        lambda a: np.hstack([a, a[:, :1]]),
        "(4, 5)",
    ),
    "b2, a number": (3, lambda a: np.array(0.5), "()"),
    "W3, no rows": (4, lambda a: a[:0], "(0, 4)"),
    "b3, a stack": (5, lambda a: a[np.newaxis], "(1, 2)"),
    "x, transposed": (6, lambda a: a.T, "(5, 3)"),
    "x, a stack": (6, lambda a: a[np.newaxis], "(1, 3, 5)"),
    "x, no samples": (6, lambda a: a[:, :0], "(3, 0)"),
    "y, one row": (7, lambda a: a[:1], "(1, 5)"),
    "y, a sample too few": (7, lambda a: a[:, 1:], "(2, 4)"),
    "y, a vector": (7, lambda a: a[0], "(5,)"),
}


@pytest.mark.parametrize("call", TAKING_A_POINT)
@pytest.mark.parametrize("how", SPOIL)
def test_a_wrong_shape_is_named(definitions, call, how):
    which, spoil, came = SPOIL[how]
    parameters, x, y = random_point()
    arrays = [*parameters, x, y]
    arrays[which] = spoil(arrays[which])
    with pytest.raises(ValueError, match="expected .* got") as refusal:
        call_it(definitions, call, arrays[:6], *arrays[6:])
    assert came in str(refusal.value)


@pytest.mark.parametrize("call", TAKING_A_POINT)
def test_what_is_no_list_of_six_parameters(definitions, call):
    parameters, x, y = random_point()
    keyed = dict(zip(definitions.NAMES, parameters))
    stacked = [p[np.newaxis] for p in parameters]
    for wrong in ([], parameters[:5], [*parameters, x], keyed, None, 7):
        with pytest.raises(ValueError, match="expected"):
            call_it(definitions, call, wrong, x, y)
    with pytest.raises(ValueError, match="expected"):
        call_it(definitions, call, stacked, x, y[np.newaxis])
    network = definitions.torch_network(parameters)
    result = call_it(definitions, call, network.parameters(), x, y)
    assert result is not None  # a generator of parameters is a list, too


@pytest.mark.parametrize("call", ["loss_function", "backward_rounding"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(
    definitions, call, value
):
    for which in range(8):
        parameters, x, y = random_point()
        arrays = [*parameters, x, y]
        arrays[which].flat[0] = value
        with pytest.raises(ValueError, match="finite"):
            getattr(definitions, call)(arrays[:6], *arrays[6:])


def test_the_loss_refuses_vectors_of_a_wrong_length(definitions):
    parameters, x, y = random_point()
    L = definitions.loss_function(parameters, x, y)
    for wrong in (np.zeros(45), np.zeros((3, 47)), np.zeros(0), 1.0):
        with pytest.raises(ValueError, match="expected 46 entries"):
            L(wrong)
    with pytest.raises(ValueError, match="expected 46 entries"):
        shapes = [p.shape for p in parameters]
        definitions.unflatten(np.zeros(47), shapes)


def test_the_loss_keeps_its_data(definitions):
    parameters, x, y = random_point()
    L = definitions.loss_function(parameters, x, y)
    theta = definitions.flatten(parameters)
    before = L(theta)
    x[:], y[:] = 7, 7
    assert L(theta) == before


# --------------------------------------------------------------- the checkers

CHECKERS = ["numerical_gradient", "complex_step_gradient", "error_bounds"]


def square(t):
    return (t**2).sum(axis=-1)


@pytest.mark.parametrize("name", CHECKERS)
@pytest.mark.parametrize(
    "h", [0, -1e-5, np.inf, np.nan, 1.7e308, 1j, "small", None, [1e-5]]
)
def test_a_step_that_is_none(definitions, name, h):
    with pytest.raises(ValueError, match="expected"):
        getattr(definitions, name)(square, np.array([1.0, 2.0]), h)


@pytest.mark.parametrize("name", CHECKERS)
def test_a_point_that_is_none(definitions, name):
    function = getattr(definitions, name)
    theta = np.array([1.0, 2.0])
    with pytest.raises(ValueError, match="expected a positive step"):
        function(square, theta.astype(np.float32), 1e-60)
    for wrong in (
        1.0,
        np.ones((2, 2)),
        [],
        [1j],
        [np.nan, 1.0],
        [np.inf],
    ):
        with pytest.raises(ValueError, match="expected"):
            function(square, wrong)
    for wrong in (lambda t: t, lambda t: 3.0, lambda t: (t**2).sum()):
        with pytest.raises(ValueError, match="one number for each row"):
            function(wrong, theta)


def test_a_complex_loss_has_no_numerical_gradient(definitions):
    with pytest.raises(ValueError, match="real"):
        definitions.numerical_gradient(
            lambda t: 1j * square(t), np.array([1.0, 2.0])
        )


def test_gradients_and_roundings_of_a_wrong_kind(definitions):
    theta = np.array([1.0, 2.0])
    outside = definitions.outside_bounds
    for found in (
        [2.0],
        [2.0, 4.0, 6.0],
        [2j, 4j],
        np.ones((2, 2)),
        None,
    ):
        with pytest.raises(ValueError, match="expected"):
            outside(found, square, theta)
    for rounding in (-1e-9, np.nan, [1e-9], np.zeros((2, 1)), None, "0"):
        with pytest.raises(ValueError, match="expected"):
            outside(2 * theta, square, theta, 1e-5, rounding)
    for rounding in (0, 1e-9, [1e-9, 1e-9], torch.zeros(2)):
        assert not outside(2 * theta, square, theta, 1e-5, rounding).any()


def test_relative_errors_need_one_shape(definitions):
    for name in ("relative_error", "entry_errors"):
        with pytest.raises(ValueError, match=r"\(2,\).*\(2, 1\)"):
            getattr(definitions, name)([1, 2], [[1], [2]])


def test_autograds_rounding_is_that_of_the_networks_precision(
    definitions,
):
    parameters, x, y = random_point()
    wide = definitions.autograd_rounding(parameters, x, y)
    # what PyTorch converts exactly is as good as double
    for narrow in (x.astype(np.float32), np.rint(x)):
        found = definitions.autograd_rounding(parameters, narrow, y)
        expected = definitions.autograd_rounding(
            parameters, narrow.astype(float), y
        )
        np.testing.assert_array_equal(found, expected)
    half = [p.astype(np.float32) for p in parameters]
    with pytest.raises(
        ValueError, match="precision of the network, float32"
    ):
        definitions.autograd_rounding(half, x, y)
    single = definitions.autograd_rounding(
        half, x.astype(np.float32), y.astype(np.float32)
    )
    assert (single > 1e6 * wide).all()


def test_nothing_that_was_passed_is_changed_or_returned(definitions):
    parameters, x, y = random_point()
    before = copy.deepcopy((parameters, x, y))
    inputs = [*parameters, x, y]
    for array in inputs:
        array.flags.writeable = False
    found = results(definitions, parameters, x, y)
    network = definitions.torch_network(parameters)
    found["network"] = [p.detach().numpy() for p in network.parameters()]
    for arrays in found.values():
        for result in arrays:
            shared = [np.shares_memory(result, array) for array in inputs]
            assert not any(shared)
    for one, other in zip(inputs, [*before[0], *before[1:]], strict=True):
        np.testing.assert_array_equal(one, other, strict=True)
