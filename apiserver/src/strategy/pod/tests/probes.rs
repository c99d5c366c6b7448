//! Probes and hooks.

use super::*;

#[test]
fn probes_and_hooks() {
    check_container(&[
        (json!({"livenessProbe": {}}), &["livenessProbe: Required value: must specify a handler type"]),
        (
            json!({"livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}}),
            &["livenessProbe.tcpSocket: Forbidden: may not specify more than 1 handler type"],
        ),
        (json!({"livenessProbe": {"exec": {}}}), &["livenessProbe.exec.command: Required value"]),
        (
            json!({"readinessProbe": {"httpGet": {"port": 0}}}),
            &["readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive"],
        ),
        (
            json!({"readinessProbe": {"httpGet": {"port": 1, "scheme": "ftp"}}}),
            &["readinessProbe.httpGet.scheme: Unsupported value: \"ftp\": supported values: \"HTTP\", \"HTTPS\""],
        ),
        (
            json!({"startupProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2, "periodSeconds": -1}}),
            &[
                "startupProbe.periodSeconds: Invalid value: -1: must be greater than or equal to 0",
                "startupProbe.successThreshold: Invalid value: 2: must be 1",
            ],
        ),
        (
            json!({"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}}),
            &["readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes"],
        ),
        (json!({"lifecycle": {"preStop": {}}}), &["lifecycle.preStop: Required value: must specify a handler type"]),
        (
            json!({"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}),
            &[
                "lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)",
            ],
        ),
    ]);
}
