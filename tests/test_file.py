"""The notebook file, its links, and the README beside it."""

import re
import subprocess
import sys

from conftest import PROJECT

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
QUESTIONS = [(1, q) for q in (1, 2, 3, 4, 5, 5)] + [
    (4, q) for q in range(1, 5)
]


def test_first_cell_is_the_sheet_s(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "code"
    assert [line for line in first.source.splitlines() if line] == (
        SHEET.splitlines()
    )


def test_stored_run(notebook, code):
    counts = [cell.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1))
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "jupyter"}
    figures = 0
    for output in (output for cell in code for output in cell.outputs):
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        if "image/png" in output.get("data", {}):
            figures += 1
            assert len(output.metadata["image/png"]["alt"]) > 40
    assert figures == 4


def test_size_and_paths():
    path = PROJECT / "homework.ipynb"
    assert path.stat().st_size < 1_000_000
    for name in "homework.ipynb", "README.md", "requirements.txt":
        text = (PROJECT / name).read_text(encoding="utf-8")
        assert not re.search(r"/(?:home|root|tmp|Users|work)/\w", text)


def test_only_the_packages_are_imported(code):
    source = "\n".join(cell.source for cell in code)
    found = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    allowed = {"numpy", "torch", "matplotlib", "IPython"}
    assert found - set(sys.stdlib_module_names) == allowed


def test_index_leads_to_the_questions(prose):
    rows = re.findall(r"\| Sheet (\d), (\d) \|.*\]\(#(.*)\)", prose)
    assert [(int(s), int(q)) for s, q, _ in rows] == QUESTIONS
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    for sheet, question, anchor in rows:
        (heading,) = [h for h in headings if h.replace(" ", "-") == anchor]
        section = prose.split(f"# {heading}\n")[1]
        asked = re.findall(r"Sheet (\d), question (\d)", section)
        assert asked[0] == (sheet, question)


def test_links_lead_somewhere(prose, readme):
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    anchors = {heading.replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#(.*?)\)", prose)) <= anchors
    for target in re.findall(r"\]\((?!http)(.*?)\)", readme):
        assert (PROJECT / target).exists()
    numbers = {heading.split()[0] for heading in headings}
    assert set(re.findall(r"sections? (\d(?:\.\d)?)", prose)) <= numbers


def test_sections_end_with_the_discussion_and_its_sources(prose):
    sections = re.findall(r"^## (\d?)", prose, re.MULTILINE)
    assert sections == [*"1234567", ""]
    sources = prose.split("## Sources")[1]
    cited = re.findall(r"^- .*?\((\d{4})\)", sources, re.MULTILINE)
    assert len(cited) == sources.count("\n- ") - 3  # a course, two pages


def test_readme_has_the_versions_of_the_requirements(readme):
    requirements = (PROJECT / "requirements.txt").read_text(encoding="utf-8")
    names = re.findall(r"^([a-z]+)==", requirements, re.MULTILINE)
    assert set(names) == {"numpy", "torch", "matplotlib", "jupyter", "nbval"}
    versions = re.findall(r"\b([a-z]+)==([\d.]*\d)", readme)
    assert versions
    for name, version in versions:
        assert f"{name}=={version}" in requirements


def test_tests_are_in_git_and_nothing_else():
    tracked = subprocess.run(
        ["git", "ls-files"],
        check=False,
        cwd=PROJECT,
        capture_output=True,
        text=True,
    ).stdout.split()
    if tracked:  # not in a download without its history
        shown = {n.split("/")[0] for n in tracked if not n.startswith(".")}
        expected = {"homework.ipynb", "README.md", "requirements.txt", "tests"}
        assert shown == expected
