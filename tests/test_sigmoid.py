"""The sigmoid is right to the last digits, on the whole real line."""

import warnings

import mpmath
import numpy as np
import pytest

EDGES = [-750, -745.2, -745.1, -740, -710, -709.8, -708, -37, -36.7, -1e-3]
POINTS = np.concatenate(
    [EDGES, np.negative(EDGES), np.linspace(-750, 750, 1501), [1e-300, 0]]
)


@pytest.fixture(autouse=True)
def warnings_are_errors():
    """Not one of these values may warn."""
    with (
        warnings.catch_warnings(),
        np.errstate(over="raise", invalid="raise", divide="raise"),
    ):
        warnings.simplefilter("error")
        yield


def test_it_is_right_to_the_last_digits(notebook):
    with mpmath.workdps(50):
        exact = [float(1 / (1 + mpmath.exp(-mpmath.mpf(z)))) for z in POINTS]
    found = notebook.sigmoid(POINTS)
    # exp, a sum and a quotient: up to 3 roundings; below 2.2e-308 the
    # spacing of the numbers themselves is 4.9e-324
    np.testing.assert_allclose(found, exact, rtol=3 * 2.3e-16, atol=1.5e-323)


def test_it_is_0_and_1_beyond(notebook):
    far = np.array([-np.inf, -1e300, -800.0, 800.0, 1e300, np.inf])
    assert notebook.sigmoid(far).tolist() == [0, 0, 0, 1, 1, 1]


def test_nan_gives_nan(notebook):
    found = notebook.sigmoid(np.array([np.nan, 0.0]))
    assert np.isnan(found[0])
    assert found[1] == 0.5


def test_it_takes_numbers_integers_and_any_shape(notebook):
    assert notebook.sigmoid(0) == 0.5
    assert notebook.sigmoid([0, 0.0]).tolist() == [0.5, 0.5]
    assert notebook.sigmoid(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert notebook.sigmoid(np.array([0], dtype=np.float32)).dtype == "f4"


@pytest.mark.parametrize("z", [-740.0, -30.0, -0.5, 0.0, 0.5, 30.0])
def test_its_complex_step_is_its_derivative(notebook, z):
    found = notebook.sigmoid(np.array([z + 1e-20j])).imag[0] / 1e-20
    with mpmath.workdps(50):
        a = 1 / (1 + mpmath.exp(-mpmath.mpf(z)))
        exact = float(a * (1 - a))
    # some complex roundings; at -740 the imaginary part is 1e-341, so zero
    assert found == pytest.approx(exact, rel=1e-14, abs=1e-300)


def test_complex_values_are_right(notebook):
    points = np.array([1 + 2j, -1 + 2j, -3 - 0.5j, 600 + 1j, -600 + 1j, 1j])
    with mpmath.workdps(50):
        exact = [complex(1 / (1 + mpmath.exp(-mpmath.mpc(z)))) for z in points]
    # some complex roundings
    np.testing.assert_allclose(notebook.sigmoid(points), exact, rtol=1e-14)
