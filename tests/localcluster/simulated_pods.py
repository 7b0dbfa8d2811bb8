"""How simulated pods live: the stages that kwok takes them through, steered by annotations on the pod.

    simulated.localcluster/start-after      a Go duration, or "never"; default 0s
    simulated.localcluster/waiting-reason   such as ImagePullBackOff: it never starts, for that reason
    simulated.localcluster/run-for          a Go duration, or "forever"; default 1s (restartPolicy Always: forever)
    simulated.localcluster/exit-code        default 0; anything else makes the pod fail
    simulated.localcluster/stop-after       a Go duration, or "never", between its deletion and its end; default 0s

An annotation may be changed while the pod lives: each change of a pod decides anew, and delays begin anew with it.
Builds descriptions only; the process that reads them is in `simulated_node`.
"""

from collections.abc import Mapping
from typing import Any

PREFIX = "simulated.localcluster"
DEFAULT_RUN_MILLISECONDS = 1000

_NOT_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"}
_DELETED = {"key": ".metadata.deletionTimestamp", "operator": "Exists"}
_OVER = ["Succeeded", "Failed"]


def build_stages() -> list[dict[str, Any]]:
    """Return all stages of a pod's life, as kwok's objects."""
    return [_build_waiting(), _build_started(), _build_ended(), _build_stopped(), _build_deleted()]


def _build_waiting() -> dict[str, Any]:
    reason = _annotation("waiting-reason")
    matches = [_NOT_DELETED, _phase("Pending"), _has(reason), _lacks(".status.containerStatuses")]
    template = _status("Pending", ready="False", state=f"{{waiting: {{reason: {_quoted('waiting-reason')}}}}}")
    return _stage("wait", matches, template)


def _build_started() -> dict[str, Any]:
    start_after = _annotation("start-after")
    matches = [_NOT_DELETED, _phase("Pending"), _lacks(_annotation("waiting-reason")), _is_not(start_after, "never")]
    template = _status("Running", ready="True", state="{running: {startedAt: {{ $now | Quote }}}}") + _ADDRESSES
    return _stage("start", matches, template, delay=_delay(start_after, 0))


def _build_ended() -> dict[str, Any]:
    run_for = _annotation("run-for")
    matches = [
        _NOT_DELETED,
        _phase("Running"),
        _is_not(run_for, "forever"),
        # A pod that is always restarted ends only where its annotation says so.
        _is_not(f'if .spec.restartPolicy == "Always" and {run_for} == null then "forever" else "" end', "forever"),
    ]
    phase = '{{ if eq $code "0" }}Succeeded{{ else }}Failed{{ end }}'
    reason = '{{ if eq $code "0" }}Completed{{ else }}Error{{ end }}'
    template = _EXIT_CODE + _status(phase, ready="False", state=_terminated("{{ $code }}", reason))
    return _stage("end", matches, template, delay=_delay(run_for, DEFAULT_RUN_MILLISECONDS))


def _build_stopped() -> dict[str, Any]:
    stop_after = _annotation("stop-after")
    matches = [_DELETED, _phase("Pending", "Running"), _is_not(stop_after, "never")]
    template = _status("Failed", ready="False", state=_terminated("143", "Error"))
    return _stage("stop", matches, template, delay=_delay(stop_after, 0))


def _build_deleted() -> dict[str, Any]:
    # Its finalizers stay, unlike in kwok's own stages: Jobs count pods by them.
    return _stage("delete", [_DELETED, _phase(*_OVER)])


def _stage(
    name: str, matches: list[dict[str, Any]], template: str = "", *, delay: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return a stage that writes the status its template renders; without a template it deletes."""
    after = {"statusTemplate": template} if template else {"delete": True}
    spec = {
        "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
        "selector": {"matchExpressions": matches},
        "delay": dict(delay or {}),
        "next": after,
    }
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Stage", "metadata": {"name": f"pod-{name}"}, "spec": spec}


def _annotation(name: str) -> str:
    return f'.metadata.annotations["{PREFIX}/{name}"]'


def _quoted(name: str) -> str:
    return f'{{{{ index $root.metadata.annotations "{PREFIX}/{name}" | Quote }}}}'


def _phase(*phases: str) -> dict[str, Any]:
    return {"key": ".status.phase", "operator": "In", "values": list(phases)}


def _has(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"}


def _lacks(key: str) -> dict[str, Any]:
    return {"key": key, "operator": "DoesNotExist"}


def _is_not(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "operator": "NotIn", "values": [value]}


def _delay(annotation: str, default_milliseconds: int) -> dict[str, Any]:
    return {"durationMilliseconds": default_milliseconds, "durationFrom": {"expressionFrom": annotation}}


def _status(phase: str, *, ready: str, state: str) -> str:
    """Return the template of a pod status in which every container is in the same state."""
    return f"""
{{{{ $now := Now }}}}
{{{{ $root := . }}}}
phase: {phase}
startTime: {{{{ or .status.startTime $now | Quote }}}}
conditions:
{{{{ range $type := list "Initialized" "Ready" "ContainersReady" }}}}
- type: {{{{ $type }}}}
  status: {{{{ if eq $type "Initialized" }}}}"True"{{{{ else }}}}"{ready}"{{{{ end }}}}
  lastTransitionTime: {{{{ $now | Quote }}}}
{{{{ end }}}}
containerStatuses:
{{{{ range .spec.containers }}}}
- name: {{{{ .name | Quote }}}}
  image: {{{{ .image | Quote }}}}
  imageID: ""
  restartCount: 0
  ready: {ready.lower()}
  state: {state}
{{{{ end }}}}
"""


def _terminated(code: str, reason: str) -> str:
    times = "startedAt: {{ or $root.status.startTime $now | Quote }}, finishedAt: {{ $now | Quote }}"
    return f"{{terminated: {{exitCode: {code}, reason: {reason}, {times}}}}}"


_EXIT_CODE = f"""
{{{{ $code := "0" }}}}
{{{{ with .metadata.annotations }}}}{{{{ $code = or (index . "{PREFIX}/exit-code") "0" }}}}{{{{ end }}}}
"""

_ADDRESSES = """
hostIP: {{ NodeIPWith .spec.nodeName | Quote }}
podIP: {{ PodIPWith .spec.nodeName false .metadata.uid .metadata.name .metadata.namespace | Quote }}
"""
