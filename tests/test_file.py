"""The notebook file, its links, and the README beside it."""

import re
import sys

from cells import CELLS, CODE, OUTPUTS, PROJECT, PROSE, README

SHEET = """# Python CODE
import numpy as np
# DO NOT FORGET TO SPECIFY THE SAME SEED
np.random.seed(12345)
def initialize(input_dim, hidden_dim, output_dim, batch_size):
    W1 = np.random.randn(hidden_dim, input_dim) * 0.01
    b1 = np.zeros((hidden_dim,))
    W2 = np.random.randn(hidden_dim, hidden_dim) * 0.01
    b2 = np.zeros((hidden_dim,))
    W3 = np.random.randn(output_dim, hidden_dim) * 0.01
    b3 = np.zeros((output_dim,))
    # list of all network parameters
    parameters = [W1, b1, W2, b2, W3, b3]
    # minibatch of input instances
    x = np.random.rand(input_dim, batch_size)
    # ground truths
    y = np.random.randn(output_dim, batch_size)
    return parameters, x, y
# initialize parameters, inputs and targets
parameters, x, y = initialize(3, 4, 2, 5)"""
REQUIREMENTS = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
HEADINGS = re.findall(r"^#+ (.*)$", PROSE, re.MULTILINE)


def test_first_cell_is_the_sheets():
    assert CELLS[0] is CODE[0]
    lines = [line for line in CODE[0].source.splitlines() if line]
    assert lines == SHEET.splitlines()


def test_stored_run():
    """One run from top to bottom, nothing on stderr, figures described."""
    counts = [cell.execution_count for cell in CODE]
    assert counts == list(range(1, len(CODE) + 1))
    assert all(set(cell.metadata) <= {"tags", "jupyter"} for cell in CELLS)
    for output in OUTPUTS:
        assert output.output_type in ("stream", "display_data")
        assert output.get("name") != "stderr"
    figures = [o for o in OUTPUTS if "image/png" in o.get("data", {})]
    assert len(figures) == 4
    assert all(len(o.metadata["image/png"]["alt"]) > 40 for o in figures)


def test_size_and_paths():
    text = (PROJECT / "homework.ipynb").read_text(encoding="utf-8")
    assert len(text) < 1_000_000
    for part in text, README, REQUIREMENTS:
        assert not re.search(r"/(?:home|root|tmp|Users|work)/\w", part)


def test_only_the_packages_are_imported():
    source = "\n".join(cell.source for cell in CODE)
    found = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    allowed = {"numpy", "torch", "matplotlib", "IPython"}
    assert found - set(sys.stdlib_module_names) == allowed


def test_index_leads_to_the_questions():
    rows = re.findall(r"\| Sheet (\d, \d) \|.*\]\(#(.*)\)", PROSE)
    questions = [question.replace(", ", ".") for question, _ in rows]
    assert " ".join(questions) == "1.1 1.2 1.3 1.4 1.5 1.5 4.1 4.2 4.3 4.4"
    for question, anchor in rows:
        (heading,) = [h for h in HEADINGS if h.replace(" ", "-") == anchor]
        section = PROSE.split(f"# {heading}\n")[1]
        sheet, number = re.findall(r"Sheet (\d), question (\d)", section)[0]
        assert question == f"{sheet}, {number}"


def test_links_lead_somewhere():
    anchors = {heading.replace(" ", "-") for heading in HEADINGS}
    assert set(re.findall(r"\]\(#(.*?)\)", PROSE)) <= anchors
    numbers = {heading.split()[0] for heading in HEADINGS}
    assert set(re.findall(r"sections? (\d(?:\.\d)?)", PROSE)) <= numbers
    for target in re.findall(r"\]\((?!http)(.*?)\)", README):
        assert (PROJECT / target).exists()


def test_versions_in_the_readme_are_those_of_the_requirements():
    names = re.findall(r"^([a-z]+)==", REQUIREMENTS, re.MULTILINE)
    assert set(names) == {"numpy", "torch", "matplotlib", "jupyter", "nbval"}
    versions = re.findall(r"\b[a-z]+==[\d.]*\d", README)
    assert versions and all(version in REQUIREMENTS for version in versions)
