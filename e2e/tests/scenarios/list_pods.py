"""Lists the pods of the default namespace with the pod's own service account, twice the same: sorted names or the code."""

import json
import os
import ssl
import urllib.error
import urllib.request

WHERE = "/var/run/secrets/kubernetes.io/serviceaccount/"


def with_client():
    from kubernetes import client, config

    config.load_incluster_config()
    try:
        pods = client.CoreV1Api().list_namespaced_pod("default")
    except client.exceptions.ApiException as error:
        return error.status, []
    return 200, [pod.metadata.name for pod in pods.items]


def by_hand():
    host = os.environ["KUBERNETES_SERVICE_HOST"]
    port = os.environ["KUBERNETES_SERVICE_PORT"]
    request = urllib.request.Request(f"https://{host}:{port}/api/v1/namespaces/default/pods")
    with open(WHERE + "token") as token:
        request.add_header("Authorization", "Bearer " + token.read())
    trust = ssl.create_default_context(cafile=WHERE + "ca.crt")
    try:
        with urllib.request.urlopen(request, context=trust, timeout=30) as answer:
            return 200, [pod["metadata"]["name"] for pod in json.load(answer)["items"]]
    except urllib.error.HTTPError as error:
        return error.code, []


try:
    status, names = with_client()
    print("with the Python client")
except ImportError:
    status, names = by_hand()
    print("by hand: no Python client")
if status == 200:
    print("pods: " + ", ".join(sorted(names)))
else:
    print(f"status: {status}")
