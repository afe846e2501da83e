"""What README.md tells people to paste is parsed by what will read it."""

import argparse
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from study.planning.parser import build_parser

README = (Path(__file__).resolve().parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
RECIPES = [yaml.safe_load(text) for language, text in BLOCKS if language == "yaml"]


def _commands(text: str) -> list[str]:
    """Every `python -m study.run ...` of a text, its continued lines joined, without what follows it."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found = re.findall(r"python -m study\.run([^\n`#;|&]*)", joined)
    return [command.strip() for command in found]


COMMANDS = sorted(
    {
        *(command for language, text in BLOCKS if language != "yaml" for command in _commands(text)),
        *(command for recipe in RECIPES if "spec" in recipe for command in _commands(recipe["spec"]["entrypoint"])),
    }
)


def test_there_is_something_to_parse() -> None:
    assert len(COMMANDS) >= 6
    assert any("--address auto" in command for command in COMMANDS)
    assert len(RECIPES) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_line_is_one_the_parser_takes(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: argparse.ArgumentParser, message: str) -> None:
        raise AssertionError(message)

    monkeypatch.setattr(argparse.ArgumentParser, "error", refuse)
    if command != "--help":
        build_parser().parse_args(shlex.split(command))


def test_the_rayjob_is_of_kuberays_form() -> None:
    """Keys of RayJob v1 and RayCluster v1, as KubeRay's API reference lists them."""
    job = next(recipe for recipe in RECIPES if recipe.get("kind") == "RayJob")
    assert job["apiVersion"] == "ray.io/v1"
    assert set(job) == {"apiVersion", "kind", "metadata", "spec"}
    spec = {
        "entrypoint", "metadata", "runtimeEnvYAML", "jobId", "submissionMode", "entrypointResources",
        "entrypointNumCpus", "entrypointNumGpus", "ttlSecondsAfterFinished", "shutdownAfterJobFinishes", "suspend",
        "activeDeadlineSeconds", "backoffLimit", "rayClusterSpec", "submitterPodTemplate", "clusterSelector",
        "submitterConfig", "managedBy", "deletionStrategy",
    }  # fmt: skip
    assert set(job["spec"]) <= spec
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) <= {
        "rayVersion", "headGroupSpec", "workerGroupSpecs", "enableInTreeAutoscaling", "autoscalerOptions", "suspend",
        "headServiceAnnotations", "gcsFaultToleranceOptions", "managedBy", "authOptions",
    }  # fmt: skip
    head, (worker,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert set(head) == {"rayStartParams", "template"}
    assert set(worker) == {"groupName", "replicas", "minReplicas", "maxReplicas", "rayStartParams", "template"}
    for group in (head, worker):
        assert all(isinstance(value, str) for value in group["rayStartParams"].values()), "KubeRay takes texts only"
        _check_pod(group["template"]["spec"])


def _check_pod(pod: dict[str, Any]) -> None:
    (container,) = pod["containers"]
    assert {"name", "image", "resources", "volumeMounts"} == set(container)
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}


def test_the_rayjob_names_the_versions_that_are_pinned() -> None:
    job = next(recipe for recipe in RECIPES if recipe.get("kind") == "RayJob")
    pinned = (Path(__file__).resolve().parent.parent / "constraints.txt").read_text()
    assert f"ray=={job['spec']['rayClusterSpec']['rayVersion']}\n" in pinned


@pytest.mark.filterwarnings("ignore")
def test_the_cluster_file_passes_rays_own_validator() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = next(recipe for recipe in RECIPES if "cluster_name" in recipe)
    prepared = prepare_config(config)
    validate_config(prepared)
    assert prepared["max_workers"] == len(config["provider"]["worker_ips"])
    with pytest.raises(Exception, match="unexpected"):
        validate_config({**prepared, "worker_count": 2})
