"""The audit of requirements/: what it finds, what it does not let pass, and the file that explains the rest."""

import json
from pathlib import Path
from typing import Any

import pytest

from hack.audit import advisories, index
from hack.audit.__main__ import REQUIREMENTS, VEX, examine
from hack.audit.locks import Lock, find_largest, read_locks
from hack.audit.report import FOUND, INCOMPLETE, Report
from hack.audit.vex import (
    CONTEXT,
    JUSTIFICATIONS,
    STATUSES,
    Exemption,
    Exemptions,
    parse_package_url,
    read_exemptions,
)

DIGEST = f"--hash=sha256:{'0' * 64}"
LOCKS = read_locks(REQUIREMENTS)


def make_lock(*entries: str, name: str = "dev.txt") -> Lock:
    return Lock(path=Path(name), entries=entries)


ALPHA = make_lock(f"alpha==1.0 {DIGEST}")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.path.name)
def test_what_is_installed_is_pinned_and_hashed(lock: Lock) -> None:
    assert lock.find_faults() == ()
    assert len(lock.pins) == len(lock.entries) > 5


def test_every_requirements_file_is_read() -> None:
    assert {lock.path.name for lock in LOCKS} == {"audit.txt", "build.txt", "dev.txt", "image.txt", "runtime.txt"}


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        pytest.param(f"alpha>=1.0 {DIGEST}", "not pinned", id="range"),
        pytest.param(f"alpha==1.* {DIGEST}", "not pinned", id="pattern"),
        pytest.param(f"alpha {DIGEST}", "not pinned", id="anything"),
        pytest.param(f"alpha @ https://example.com/alpha.whl {DIGEST}", "not pinned", id="address"),
        pytest.param("--index-url https://example.com/simple", "not pinned", id="another-index"),
        pytest.param("-e .", "not pinned", id="folder"),
        pytest.param("alpha==1.0", "has no hash", id="no-hash"),
        pytest.param("alpha==1.0 --hash=md5:00", "no SHA-256", id="weak-hash"),
        pytest.param(f"alpha==1.0 {DIGEST} --hash=sha256:00", "no SHA-256", id="short-hash"),
    ],
)
def test_entry_that_lets_something_else_in_is_found(entry: str, fault: str) -> None:
    (found,) = make_lock(entry).find_faults()

    assert fault in found
    assert found.startswith("dev.txt: ")


def test_comments_and_continued_lines_are_read(tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text(f"# made\nalpha==1.0 ; python_version < '3' \\\n    {DIGEST}\n    # via beta\n")
    (lock,) = read_locks(tmp_path)

    assert [(str(pin), pin.is_for_here) for pin in lock.pins] == [("alpha 1.0", False)]
    assert lock.find_faults() == ()


def test_file_within_another_is_not_asked_for_twice() -> None:
    runtime, dev = make_lock(ALPHA.entries[0], name="runtime.txt"), make_lock(*ALPHA.entries, f"beta==2 {DIGEST}")
    other = make_lock(f"alpha==3.0 {DIGEST}", name="audit.txt")

    assert find_largest([runtime, dev, other]) == [dev, other]


def install(version: str = "1.0", *, is_yanked: bool = False) -> dict[str, Any]:
    return {"metadata": {"name": "Alpha", "version": version}, "is_yanked": is_yanked}


def test_what_is_offered_still_is_well() -> None:
    assert index.judge(ALPHA, [install()]) == Report()


def test_withdrawn_version_is_found() -> None:
    assert index.judge(ALPHA, [install(is_yanked=True)]).found == ("alpha 1.0 was withdrawn by its authors",)


def test_package_that_pip_says_nothing_of_is_not_taken_for_good() -> None:
    assert index.judge(ALPHA, []).unseen == ("alpha 1.0: pip left it out",)


@pytest.mark.parametrize(
    ("told", "exit_code"),
    [
        pytest.param(
            "ERROR: None is good (from versions: 0.9)\nERROR: No matching distribution found for alpha==1.0",
            FOUND,
            id="version-is-gone",
        ),
        pytest.param(
            "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", FOUND, id="other-file"
        ),
        pytest.param(
            "ERROR: None is good (from versions: none)\nERROR: No matching distribution found for alpha==1.0",
            INCOMPLETE,
            id="index-is-away",
        ),
        pytest.param("Connection refused", INCOMPLETE, id="no-network"),
    ],
)
def test_failure_of_pip_is_a_finding_only_where_the_index_answered(told: str, exit_code: int) -> None:
    assert index.judge_failure("dev.txt", told).exit_code == exit_code


def vulnerable(**more: Any) -> dict[str, Any]:
    known = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}
    return {"name": "alpha", "version": "1.0", "vulns": [known | more]}


def test_known_vulnerability_is_found_with_what_mends_it() -> None:
    assert advisories.judge(ALPHA, [vulnerable()], Exemptions()).found == ("alpha 1.0: CVE-1, PYSEC-1; mended in 1.1",)
    assert "no version yet" in advisories.judge(ALPHA, [vulnerable(fix_versions=[])], Exemptions()).found[0]


def test_package_that_nobody_looked_at_is_not_taken_for_good() -> None:
    skipped = {"name": "alpha", "skip_reason": "Dependency not found on PyPI and could not be audited: alpha (1.0)"}

    for dependencies in ([skipped], []):
        report = advisories.judge(ALPHA, dependencies, Exemptions())
        assert report.exit_code == INCOMPLETE
        assert report.unseen[0].startswith("dev.txt: 1 of 1 packages (alpha) for vulnerabilities")


def exempt(version: str = "1.0", *names: str) -> Exemptions:
    vulnerabilities = frozenset(names or ("CVE-1",))
    return Exemptions((Exemption(package="alpha", version=version, vulnerabilities=vulnerabilities, reason="because"),))


def test_explained_vulnerability_is_told_and_is_no_finding() -> None:
    report = advisories.judge(ALPHA, [vulnerable()], exempt())

    assert (report.found, report.exempt) == ((), ("alpha 1.0: CVE-1, PYSEC-1; because",))
    assert report.exit_code == 0


@pytest.mark.parametrize("exemptions", [exempt("1.1"), exempt("1.0", "CVE-2"), Exemptions()])
def test_explanation_of_something_else_silences_nothing(exemptions: Exemptions) -> None:
    assert advisories.judge(ALPHA, [vulnerable()], exemptions).exit_code == FOUND


def test_program_that_says_nothing_is_not_taken_for_good(tmp_path: Path) -> None:
    for name in ("pip", "pip-audit"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'no route to host' >&2\nexit 1\n")
        (tmp_path / name).chmod(0o755)
    report = examine([ALPHA], programs=tmp_path, exemptions=Exemptions())

    assert (report.found, report.exit_code) == ((), INCOMPLETE)
    assert len(report.unseen) == 2
    assert report.lines[-1].endswith("this is no all-clear")


def test_programs_that_find_nothing_give_the_all_clear(tmp_path: Path) -> None:
    answers = {"pip": {"install": [install()]}, "pip-audit": {"dependencies": [vulnerable() | {"vulns": []}]}}
    for name, answer in answers.items():
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
        (tmp_path / name).chmod(0o755)
    report = examine([ALPHA], programs=tmp_path, exemptions=Exemptions())

    assert report.exit_code == 0
    assert report.lines == ["Everything was examined, and nothing is known against it"]


def test_findings_weigh_more_than_what_was_not_seen() -> None:
    both = Report(found=("one",)) + Report(unseen=("two",), found=("one",))

    assert (both.found, both.unseen, both.exit_code) == (("one",), ("two",), FOUND)
    assert both.lines == ["NOT EXAMINED: two", "FOUND: one", "1 things to mend"]


# The file that explains


def read_vex() -> dict[str, Any]:
    return dict(json.loads(VEX.read_text(encoding="utf-8")))


def test_vex_document_has_what_openvex_asks_for() -> None:
    document = read_vex()

    assert document["@context"] == CONTEXT
    assert {"@id", "author", "timestamp", "version", "statements"} <= document.keys()
    for statement in document["statements"]:
        assert statement["vulnerability"]["name"]
        assert statement["status"] in STATUSES
        assert statement["products"]
        assert statement["status"] != "affected" or statement["action_statement"]


def test_what_does_not_affect_us_is_justified() -> None:
    for statement in read_vex()["statements"]:
        if statement["status"] == "not_affected":
            assert statement["justification"] in JUSTIFICATIONS
            assert len(statement["impact_statement"]) > 80


def test_statements_are_about_this_product_and_about_versions_that_are_locked() -> None:
    pins = {(pin.name, pin.version) for lock in LOCKS for pin in lock.pins}
    project = (VEX.parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    for statement in read_vex()["statements"]:
        for product in statement["products"]:
            name, _, version = product["@id"].removeprefix("pkg:generic/").partition("@")
            assert name == "diem-operator"
            assert f'version = "{version}"' in project
            assert {parse_package_url(one["@id"]) for one in product["subcomponents"]} <= pins


def test_exemptions_are_read_from_the_document_by_all_their_names() -> None:
    for statement in read_vex()["statements"]:
        vulnerability = statement["vulnerability"]
        for url in (one["@id"] for product in statement["products"] for one in product["subcomponents"]):
            for name in (vulnerability["name"], *vulnerability.get("aliases", [])):
                found = read_exemptions(VEX).find(*parse_package_url(url), {name})
                assert (found is not None) is (statement["status"] in {"not_affected", "fixed"})


def test_vulnerability_under_investigation_is_not_silenced(tmp_path: Path) -> None:
    document = read_vex()
    for statement in document["statements"]:
        statement["status"] = "under_investigation"
    path = tmp_path / "vex.json"
    path.write_text(json.dumps(document))

    assert read_exemptions(path) == Exemptions()


@pytest.mark.parametrize("url", ["pkg:pypi/alpha", "pkg:deb/debian/libc6@2", "alpha@1", "pkg:pypi/alpha@"])
def test_statement_without_a_version_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="names no version"):
        parse_package_url(url)
