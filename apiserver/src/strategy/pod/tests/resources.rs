//! What containers ask for, and may take.

use super::*;

#[test]
fn resources() {
    check_container(&[
        (
            json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}}),
            &["resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"],
        ),
        (
            json!({"resources": {"requests": {"memory": "-1Mi"}}}),
            &["resources.requests[memory]: Invalid value: \"-1Mi\": must be greater than or equal to 0"],
        ),
        (
            json!({"resources": {"requests": {"disk": "1"}}}),
            &[
                "resources.requests[disk]: Invalid value: \"disk\": must be a standard resource type or fully qualified",
                "resources.requests[disk]: Invalid value: \"disk\": must be a standard resource for containers",
            ],
        ),
        (
            json!({"resources": {"requests": {"pods": "1"}}}),
            &["resources.requests[pods]: Invalid value: \"pods\": must be a standard resource for containers"],
        ),
        (
            json!({"resources": {"requests": {"example.com/gpu": "1"}}}),
            &["resources.limits: Required value: Limit must be set for non overcommitable resources"],
        ),
        (
            json!({"resources": {"limits": {"example.com/gpu": "500m"}}}),
            &[
                "resources.limits[example.com/gpu]: Invalid value: \"500m\": must be an integer",
                "resources.requests[example.com/gpu]: Invalid value: \"500m\": must be an integer",
            ],
        ),
        (
            json!({"resources": {"claims": [{"name": "x"}]}}),
            &[
                "resources.claims[0]: Not found: \"x\": must be one of the names in pod.spec.resourceClaims which is empty",
            ],
        ),
    ]);
}
