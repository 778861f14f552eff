"""The gradients are right, at the sheet's point and far from it."""

import json
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from references import SCALES, SIZES, TABLE, random_point, reference_gradients

EPSILON = np.finfo(np.float64).eps
NETWORKS = [(3, 4, 2, 5), (1, 1, 1, 1), (7, 16, 3, 64), (5, 2, 6, 1)]
every_network = pytest.mark.parametrize("sizes", NETWORKS)


def autograd(notebook, parameters, x, y):
    """PyTorch's gradients for a network with these parameters."""
    network = notebook.torch_network(parameters)
    output = network(torch.from_numpy(x.T))
    notebook.torch_loss(output, torch.from_numpy(y.T)).backward()
    return [p.grad.numpy() for p in network.parameters()]


def assert_close(notebook, ours, theirs, tolerance):
    """Relative error (norms) of each gradient within the tolerance."""
    for one, other in zip(ours, theirs, strict=True):
        assert one.shape == other.shape
        assert notebook.relative_error(one, other) <= tolerance


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", ["backward", "complex_step_gradients"])
def test_gradients_match_references_of_100_digits(notebook, scale, method):
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    parameters, x, y = random_point(SIZES, scale)
    expected = notebook.unflatten(np.array(table[str(scale)]), parameters)
    # a few units in the last place: some twenty roundings lie on the path
    # from the parameters to a gradient, and they add up like a random walk
    found = getattr(notebook, method)(parameters, x, y)
    assert_close(notebook, found, expected, 16 * EPSILON)


def test_the_table_of_references_is_what_its_script_makes():
    table = json.loads(TABLE.read_text(encoding="utf-8"))
    assert list(table) == [str(scale) for scale in SCALES]
    assert table["1.0"] == reference_gradients(*random_point(SIZES, 1.0))


def test_the_sheets_gradients_match_a_reference_of_100_digits(notebook):
    point = notebook.parameters, notebook.x, notebook.y
    expected = notebook.unflatten(
        np.array(reference_gradients(*point)), notebook.parameters
    )
    for method in ("backprop", "autograd", "complex step"):
        found = notebook.gradients[method]
        # some twenty roundings, as above
        assert_close(notebook, found, expected, 16 * EPSILON)
    # every entry of the numerical one, as the notebook says
    for one, other in zip(
        notebook.gradients["numerical"], expected, strict=True
    ):
        assert notebook.worst_relative_error(one, other) <= 1e-4


@every_network
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_three_exact_methods_agree(notebook, sizes, scale, seed):
    point = random_point(sizes, scale, seed)
    ours = notebook.backward(*point)
    # the roundings of sums over up to 64 samples, in unknown order
    for theirs in (
        autograd(notebook, *point),
        notebook.complex_step_gradients(*point),
    ):
        assert_close(notebook, ours, theirs, 1e-13)


def test_hidden_layers_may_differ_in_width(notebook):
    draw = np.random.RandomState(0).standard_normal
    shapes = [(4, 3), (4,), (6, 4), (6,), (2, 6), (2,)]
    point = [draw(shape) for shape in shapes], draw((3, 5)), draw((2, 5))
    ours = notebook.backward(*point)
    for theirs in (
        autograd(notebook, *point),
        notebook.complex_step_gradients(*point),
    ):
        # the roundings of sums over five samples
        assert_close(notebook, ours, theirs, 1e-14)


@every_network
@pytest.mark.parametrize("scale", [3.0, 10.0, 30.0])
@pytest.mark.parametrize("seed", range(5))
def test_they_agree_where_units_saturate(notebook, sizes, scale, seed):
    parameters, x, y = random_point(sizes, scale, seed)
    ours = notebook.backward(parameters, x, y)
    # where a is near 1, 1 - a is off by EPSILON however small it is; so the
    # error is small beside the product without the slopes, not beside the
    # gradient itself
    norm = np.linalg.norm
    delta3 = norm(notebook.forward(parameters, x)[-1] - y)
    delta2 = delta3 * norm(parameters[4])
    delta1 = delta2 * norm(parameters[2])
    units = sizes[1] * sizes[3]
    limits = [delta1 * norm(x), delta1, delta2, delta2, delta3, delta3]
    for theirs in (
        autograd(notebook, parameters, x, y),
        notebook.complex_step_gradients(parameters, x, y),
    ):
        for one, other, limit in zip(ours, theirs, limits, strict=True):
            assert norm(one - other) <= 8 * EPSILON * units * limit


@every_network
@pytest.mark.parametrize("scale", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("h", [1e-7, 1e-5, 1e-3])
def test_numerical_gradients_stay_in_their_predicted_bound(
    notebook, sizes, scale, h
):
    for seed in range(2):
        point = random_point(sizes, scale, seed)
        numerical = notebook.numerical_gradients(*point, h)
        exact = notebook.complex_step_gradients(*point)
        error = notebook.norms(map(np.subtract, numerical, exact))
        predicted = sum(notebook.predicted_error(*point, np.array([h])))[0]
        # the factor of ten is the notebook's: how many roundings make a
        # loss is left open
        assert (error <= 10 * predicted).all()


def test_the_prediction_is_not_far_too_large(notebook):
    ratios = []
    for seed in range(20):
        point = random_point(SIZES, 1.0, seed)
        numerical = notebook.numerical_gradients(*point, 1e-6)
        exact = notebook.complex_step_gradients(*point)
        error = notebook.norms(map(np.subtract, numerical, exact))
        predicted = sum(notebook.predicted_error(*point, np.array([1e-6])))
        ratios.append(error / predicted[0])
    # the other side of the factor of ten, for each of the six gradients
    assert (np.median(ratios, axis=0) >= 0.1).all()


@pytest.mark.parametrize("scale", [0.01, 0.5])
def test_truncation_is_predicted_by_the_third_derivative(notebook, scale):
    point = random_point(SIZES, scale)
    h = np.array([0.02])
    numerical = notebook.numerical_gradients(*point, h[0])
    exact = notebook.complex_step_gradients(*point)
    error = notebook.norms(map(np.subtract, numerical, exact))
    truncation = notebook.predicted_error(*point, h)[1][0]
    # the next term of Taylor's series is h**2 = 4e-4 times a number of order
    # one, and 0.1**2 in the third derivative
    np.testing.assert_allclose(error[:4], truncation[:4], rtol=0.02)
    assert (truncation[4:] == 0).all()


@every_network
@pytest.mark.parametrize("h", [1e-5, 1e-3])
def test_the_stack_gives_what_a_loop_over_entries_gives(notebook, sizes, h):
    parameters, x, y = random_point(sizes, 0.5)
    stacked = notebook.numerical_gradients(parameters, x, y, h)
    looped = notebook.textbook_gradients(parameters, x, y, h)
    output = notebook.forward(parameters, x)[-1]
    noise = notebook.loss_rounding(output, y) / h
    for one, other in zip(stacked, looped, strict=True):
        # twice the factor of ten, for two noisy gradients
        assert np.abs(one - other).max() <= 20 * noise


def test_a_stack_of_networks_goes_through_in_one_call(notebook):
    points = [random_point(SIZES, 1.0, seed) for seed in range(6)]
    _, x, y = points[0]
    stack = [
        np.array(arrays).reshape(2, 3, *arrays[0].shape)
        for arrays in zip(*(parameters for parameters, _, _ in points))
    ]
    stacked = notebook.forward(stack, x)
    losses = notebook.mean_squared_loss(stacked[-1], y)
    assert losses.shape == (2, 3)
    for index, (parameters, _, _) in zip(np.ndindex(2, 3), points):
        single = notebook.forward(parameters, x)
        for one, other in zip(stacked, single, strict=True):
            # the same products, perhaps by another routine
            np.testing.assert_allclose(one[index], other, rtol=1e-13)
        loss = notebook.mean_squared_loss(single[-1], y)
        assert losses[index] == pytest.approx(loss, rel=1e-13)


def test_chunks_do_not_change_the_result(notebook, monkeypatch):
    parameters, x, y = random_point((7, 16, 3, 64), 0.5)
    steps = [1e-5, -1e-5]
    whole = notebook.shifted_losses(parameters, x, y, steps)
    assert whole.shape == (2, sum(p.size for p in parameters))
    names = notebook.shifted_losses.__globals__
    monkeypatch.setitem(names, "chunk_size", lambda *arguments: 7)
    chunked = notebook.shifted_losses(parameters, x, y, steps)
    assert chunked.shape == whole.shape
    # the same sums of 192 squares, perhaps rounded in another order
    np.testing.assert_allclose(chunked, whole, rtol=1e-14)


@pytest.mark.parametrize("copies", [1, 2])
@pytest.mark.parametrize("sizes", [*NETWORKS, (20, 120, 5, 128)])
def test_a_chunk_fills_its_share_of_memory_and_no_more(
    notebook, sizes, copies
):
    inputs, hidden, outputs, samples = sizes
    parameters, x, _ = random_point(sizes, 1.0)
    weights = (inputs + 1 + hidden + 1) * hidden + (hidden + 1) * outputs
    numbers = copies * (weights + (2 * hidden + outputs) * samples)
    chunk = notebook.chunk_size(parameters, x, copies)
    # as many as fit into 2**20 numbers
    assert chunk * numbers <= 2**20 < (chunk + 1) * numbers


def test_a_network_larger_than_a_chunk_is_moved_one_parameter_at_a_time(
    notebook,
):
    parameters, x, _ = random_point((3, 1024, 2, 4), 0.01)
    assert notebook.chunk_size(parameters, x, 2) == 1


def test_every_chunk_but_the_last_is_full(notebook, monkeypatch):
    parameters, x, y = random_point((7, 16, 3, 64), 0.5)
    count = sum(p.size for p in parameters)
    chunk = notebook.chunk_size(parameters, x, 2)
    spy = Mock(wraps=notebook.forward)
    names = notebook.shifted_losses.__globals__
    monkeypatch.setitem(names, "forward", spy)
    notebook.numerical_gradients(parameters, x, y)
    assert spy.call_count == -(-count // chunk) > 1


@pytest.mark.parametrize("method", ["numerical", "complex_step"])
def test_the_sheets_network_takes_one_forward_pass(
    notebook, monkeypatch, point, method
):
    spy = Mock(wraps=notebook.forward)
    names = notebook.shifted_losses.__globals__
    monkeypatch.setitem(names, "forward", spy)
    getattr(notebook, f"{method}_gradients")(*point)
    assert spy.call_count == 1


def test_the_loss_is_the_mean_of_half_the_squared_distances(notebook):
    output = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 4.0]])
    y = np.array([[0.0, 2.0, 3.0], [2.0, -1.0, 0.0]])
    # (1 + 4)/2, 0 and (9 + 16)/2 over three samples: exact in binary but
    # for the last division
    assert notebook.mean_squared_loss(output, y) == pytest.approx(5.0)


def test_equal_batches_average_their_gradients(notebook):
    parameters, x, y = random_point((3, 4, 2, 6), 1.0)
    whole = notebook.backward(parameters, x, y)
    halves = [
        notebook.backward(parameters, x[:, part], y[:, part])
        for part in (slice(0, 3), slice(3, 6))
    ]
    means = [(one + other) / 2 for one, other in zip(*halves, strict=True)]
    assert_close(notebook, whole, means, 1e-14)


def test_the_order_of_samples_does_not_matter(notebook):
    parameters, x, y = random_point(SIZES, 1.0)
    order = [3, 0, 4, 1, 2]
    permuted = notebook.backward(parameters, x[:, order], y[:, order])
    assert_close(
        notebook, permuted, notebook.backward(parameters, x, y), 1e-14
    )


def test_permuting_hidden_units_permutes_their_gradients(notebook):
    parameters, x, y = random_point(SIZES, 1.0)
    one, two = [2, 0, 3, 1], [1, 3, 0, 2]

    def permuted(arrays):
        W1, b1, W2, b2, W3, b3 = arrays
        return [W1[one], b1[one], W2[two][:, one], b2[two], W3[:, two], b3]

    found = notebook.backward(permuted(parameters), x, y)
    expected = permuted(notebook.backward(parameters, x, y))
    assert_close(notebook, found, expected, 1e-14)


def test_mirrored_targets_turn_the_gradients_around(notebook):
    parameters, x, y = random_point(SIZES, 1.0)
    output = notebook.forward(parameters, x)[-1]
    mirrored = 2 * output - y
    found = notebook.backward(parameters, x, mirrored)
    expected = [-g for g in notebook.backward(parameters, x, y)]
    assert_close(notebook, found, expected, 1e-14)


def test_no_error_means_no_gradient(notebook):
    parameters, x, _ = random_point(SIZES, 1.0)
    output = notebook.forward(parameters, x)[-1]
    assert notebook.mean_squared_loss(output, output) == 0
    for gradient in notebook.backward(parameters, x, output):
        assert (gradient == 0).all()
    # complex arithmetic rounds the output differently in its last digits
    for gradient in notebook.complex_step_gradients(parameters, x, output):
        assert np.abs(gradient).max() <= 1e-14


def test_single_precision_stays_single(notebook):
    parameters, x, y = random_point(SIZES, 1.0)
    parameters = [array.astype(np.float32) for array in parameters]
    point = parameters, x.astype(np.float32), y.astype(np.float32)
    for method in (
        notebook.backward,
        notebook.complex_step_gradients,
        lambda *arrays: notebook.numerical_gradients(*arrays, np.float64(0.1)),
    ):
        assert {g.dtype for g in method(*point)} == {np.dtype(np.float32)}


def test_relative_error_follows_its_formula(notebook):
    error = notebook.relative_error
    assert error(np.array([3.0, 4.0]), np.array([3.0, 4.0])) == 0
    assert error(np.zeros((2, 2)), np.zeros((2, 2))) == 0
    assert error(np.array([3.0, 4.0]), np.zeros(2)) == 1
    assert error(np.array([1.0]), np.array([-1.0])) == 2
    # |a - b| = 5, |a| = 5, |b| = sqrt(50): decimals of binary fractions
    a, b = np.array([3.0, 4.0]), np.array([7.0, 1.0])
    assert error(a, b) == pytest.approx(5 / 50**0.5)
    assert error(b, a) == error(a, b)
    assert error(a.tolist(), b.tolist()) == error(a, b)
    assert type(error(a, b)) is float


@pytest.mark.parametrize("factor", [1e-200, 1e-300, 1e200])
def test_relative_error_does_not_depend_on_the_scale(notebook, factor):
    a, b = np.array([3.0, 4.0]), np.array([7.0, 1.0])
    error = notebook.relative_error(factor * a, factor * b)
    assert error == pytest.approx(5 / 50**0.5)


def test_relative_error_of_very_different_arrays_is_1(notebook):
    large, small = np.array([-1e200, -1e200]), np.ones(2)
    assert notebook.relative_error(large, small) == pytest.approx(1)
    assert notebook.relative_error(small, large) == pytest.approx(1)


def test_relative_error_of_nan_is_nan(notebook):
    spoiled = np.array([np.nan, 1.0])
    for other in (np.zeros(2), np.ones(2), spoiled):
        assert np.isnan(notebook.relative_error(spoiled, other))
        assert np.isnan(notebook.relative_error(other, spoiled))


def test_worst_relative_error_is_that_of_the_worst_entry(notebook):
    worst = notebook.worst_relative_error
    a, b = np.array([1.0, 0.0, 1e-9]), np.array([1.1, 0.0, 2e-9])
    for sign in (1, -1):
        assert worst(sign * a, sign * b) == pytest.approx(0.5)
        assert worst(sign * b, sign * a) == pytest.approx(0.5)
    assert worst(a, -a) == pytest.approx(2)
    assert worst(-a, a) == pytest.approx(2)
    assert type(worst(a, b)) is float
