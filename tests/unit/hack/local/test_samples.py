"""The samples are what `make run`, the demo and the README rely on."""

from typing import Any

import yaml

from hack.local.greeting import START, START_TICKER, STATUS, STOP
from hack.local.installation import DEMO_KEY, DEMO_NAMESPACE, SAMPLES
from tests.localcluster.images import BUSYBOX_IMAGE
from tests.localcluster.simulated_pods import PREFIX


def read_samples() -> list[dict[str, Any]]:
    return [document for path in sorted(SAMPLES.iterdir()) for document in yaml.safe_load_all(path.read_text())]


def find_pod_templates() -> dict[str, dict[str, Any]]:
    jobs = [sample for sample in read_samples() if sample["kind"] == "DiemJob"]
    return {job["metadata"]["name"]: job["spec"]["jobTemplate"]["spec"]["template"] for job in jobs}


def test_namespace_comes_first_so_that_the_folder_can_be_applied_as_it_is() -> None:
    named = [(sample["kind"], sample["metadata"]["name"]) for sample in read_samples()]

    assert named[:2] == [("Namespace", DEMO_NAMESPACE), ("DiemApiKey", DEMO_KEY)]
    assert {sample["metadata"]["namespace"] for sample in read_samples()[1:]} == {DEMO_NAMESPACE}


def test_shown_calls_are_about_jobs_that_are_there() -> None:
    assert {call.body["id"] for call in (STATUS, START, START_TICKER, STOP)} == {"hello", "ticker"}
    assert {"hello", "ticker"} <= find_pod_templates().keys()


def test_pods_run_on_a_node_without_any_registry() -> None:
    images = {container["image"] for pod in find_pod_templates().values() for container in pod["spec"]["containers"]}

    assert images == {BUSYBOX_IMAGE}


def test_on_a_simulated_node_one_ends_and_the_other_does_not() -> None:
    times = {name: pod["metadata"]["annotations"] for name, pod in find_pod_templates().items() if "metadata" in pod}

    assert times == {"hello": {f"{PREFIX}/run-for": "5s"}, "ticker": {f"{PREFIX}/run-for": "forever"}}
