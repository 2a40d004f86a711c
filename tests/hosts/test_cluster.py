"""Processes are found by the variables of clusters, which are faked."""

import socket
import sys
import time
import types
from typing import Any

import pytest
from jax._src import clusters
from jax._src.clusters import cloud_tpu_cluster, k8s_cluster

import jaxcorr
from jaxcorr.errors import UserError
from jaxcorr.hosts import cluster
from jaxcorr.hosts.cluster import DistributedConfig

SLURM = {
    "SLURM_JOB_ID": "4097",
    "SLURM_STEP_NODELIST": "node[07-08]",
    "SLURM_NTASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
}
OPEN_MPI = {
    "OMPI_MCA_orte_hnp_uri": "1314521088.0;tcp://10.96.0.1,10.148.0.1:34911",
    "OMPI_COMM_WORLD_SIZE": "4",
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_LOCAL_RANK": "0",
}
GKE = {"TPU_SKIP_MDS_QUERY": "true"}
POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
INDEXED = POD | {"JOB_COMPLETION_INDEX": "2"}
VARIABLES = [*SLURM, *OPEN_MPI, *INDEXED, *cluster.LAUNCHERS, cluster.ADDRESS]


@pytest.fixture
def find(monkeypatch):
    """Returns the processes that variables name."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def find(variables, config=None):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return cluster.find_processes(config or DistributedConfig())

    return find


@pytest.fixture
def tpu_pod(monkeypatch):
    """Lets this host look like one of a TPU pod, where the name of a host resolves."""
    monkeypatch.setattr(cloud_tpu_cluster, "running_in_cloud_tpu_vm", True)
    monkeypatch.setattr(socket, "gethostbyname", lambda name: name)
    monkeypatch.delenv("TPU_SKIP_MDS_QUERY", raising=False)


@pytest.fixture
def kubernetes(monkeypatch):
    """The package kubernetes, and the job that its requests answer with."""
    package: Any = types.ModuleType("kubernetes")
    package.config = types.SimpleNamespace(load_incluster_config=lambda: None)
    package.client = types.SimpleNamespace(
        CoreV1Api=object,
        BatchV1Api=object,
        exceptions=types.SimpleNamespace(ApiException=KeyError),
    )
    monkeypatch.setitem(sys.modules, "kubernetes", package)
    job = types.SimpleNamespace(
        metadata=types.SimpleNamespace(
            name="charm-workers", labels={"jobset.sigs.k8s.io/jobset-name": "charm"}
        ),
        spec=types.SimpleNamespace(parallelism=4),
    )
    pod = types.SimpleNamespace(metadata=types.SimpleNamespace(labels={}))
    answers = {
        "_job": job,
        "_pod": pod,
        "_controller": types.SimpleNamespace(kind="Job"),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(
            k8s_cluster.K8sCluster, name, classmethod(lambda _, x=answer: x)
        )
    monkeypatch.setattr(socket, "gethostbyname", lambda name: name)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return job


def test_training_in_python_does_not_leave_each_process_alone(find):
    find(SLURM)
    message = r"^this is process 5 of 8 by Slurm, .*: call jax.distributed.initialize "
    with pytest.raises(UserError, match=message):
        jaxcorr.train("quickstart:scratch", steps=1)
    alone = {"coordinator_address": "localhost:1", "num_processes": 1, "process_id": 0}
    cluster.check_connected(DistributedConfig(**alone))


def test_slurm_names_the_processes(find):
    assert find(SLURM) == ("node07:61441", 8, 5, "Slurm")


def test_open_mpi_names_the_processes(find):
    address, *others = find(OPEN_MPI)
    assert address.startswith("10.96.0.1:") and others == [4, 3, "Open MPI"]


def test_a_tpu_pod_of_gke_names_the_processes_of_all_slices(find, tpu_pod):
    variables = GKE | {
        "TPU_WORKER_HOSTNAMES": "worker-0,worker-1",
        "TPU_WORKER_ID": "1",
        "MEGASCALE_NUM_SLICES": "3",
        "MEGASCALE_SLICE_ID": "2",
        "MEGASCALE_COORDINATOR_ADDRESS": "slice-0",
    }
    assert find(variables) == ("slice-0:8482", 6, 5, "TPUs on GKE")


def test_a_tpu_pod_of_google_cloud_names_the_processes(find, tpu_pod, monkeypatch):
    metadata = {
        "agent-worker-number": ("1", 200),
        "worker-network-endpoints": ("a:b:10.0.0.7,a:b:10.0.0.8", 200),
        "tpu-env": ("", 200),
    }
    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", metadata.__getitem__)
    assert find({}) == ("10.0.0.7:8482", 2, 1, "TPUs of Google Cloud")


def test_a_tpu_host_whose_cloud_does_not_answer_is_refused(find, tpu_pod, monkeypatch):
    def get_metadata(key):
        raise ConnectionError("no route to metadata.google.internal")

    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", get_metadata)
    with pytest.raises(UserError, match="ConnectionError no route to metadata"):
        find({})


def test_a_tpu_host_by_itself_is_alone(find, tpu_pod, monkeypatch):
    monkeypatch.setattr(cloud_tpu_cluster, "get_metadata", lambda key: ("", 404))
    host = {"TPU_WORKER_HOSTNAMES": "localhost", "TPU_WORKER_ID": "0"}
    assert find(GKE | host) is None


def test_a_job_of_kubernetes_names_the_processes(find, kubernetes):
    expected = ("charm-workers-0.charm:55527", 4, 2, "Kubernetes")
    assert find(INDEXED) == expected


def test_a_job_of_kubernetes_without_indices_is_refused(find, kubernetes):
    with pytest.raises(UserError, match="jobs must be indexed"):
        find(POD)


def test_a_job_of_kubernetes_with_one_pod_is_alone(find, kubernetes):
    kubernetes.spec.parallelism = 1
    assert find(POD) is None


def test_an_indexed_pod_without_the_package_kubernetes_is_refused(find, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    with pytest.raises(UserError, match=r"pod 2 of an indexed Job.*jaxcorr\[k8s\]"):
        find(INDEXED)


def test_a_pod_that_is_not_one_of_a_job_is_alone(find, monkeypatch):
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    assert find(POD) is None


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OMPI_COMM_WORLD_SIZE": "4"}, "OMPI_COMM_WORLD_SIZE=4 says that there are"),
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 says that there are several processes"),
        ({cluster.ADDRESS: "a:1"}, "JAX_COORDINATOR_ADDRESS=a:1 says"),
    ],
)
def test_several_processes_that_jax_does_not_find_are_refused(find, variables, message):
    with pytest.raises(UserError, match=message):
        find(variables)


def test_without_a_cluster_a_process_is_alone(find):
    assert find({}) is None
    assert find({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "8", "WORLD_SIZE": "1"}) is None
    assert find(SLURM | {"SLURM_NTASKS": "1"}) is None


def test_flags_come_before_any_cluster(find):
    config = DistributedConfig(
        coordinator_address="first:1234", num_processes=2, process_id=1
    )
    assert find(SLURM, config) == ("first:1234", 2, 1, "flags")


def test_an_incomplete_or_contradictory_config_is_refused():
    with pytest.raises(UserError, match="must be given together, but are a:1, 2 and"):
        DistributedConfig(coordinator_address="a:1", num_processes=2)
    with pytest.raises(UserError, match=r"must be from 0 to num_processes - 1 \(1\)"):
        DistributedConfig(coordinator_address="a:1", num_processes=2, process_id=2)
    with pytest.raises(UserError, match="timeout must be at least 1"):
        DistributedConfig(timeout=0)


def test_every_cluster_of_jax_has_a_name():
    found = {x.__name__ for x in clusters.ClusterEnv._cluster_types}
    assert found - {"Mpi4pyCluster", "BaseTpuCluster"} <= set(cluster.NAMES)
