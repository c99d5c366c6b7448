//! What the echo server answers to a request: pure but for what it was told before.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::options::duration;
use super::request::Head;
use super::state::State;

/// What to do about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Answer(u16, String),
    Later(Duration, String),
    Fail(Option<Duration>),
    Exit(i32),
}

/// The decision: pure but for what `state` was told before.
pub(super) fn decide(head: &Head, state: &State, local: SocketAddr, client: SocketAddr, now: Instant) -> Action {
    let headers = || head.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>();
    match (head.method.as_str(), head.path()) {
        (_, "/fail") => match head.query("for").map(duration) {
            Some(None) => Action::Answer(400, "for: not a duration\n".to_owned()),
            length => Action::Fail(length.flatten()),
        },
        (_, "/exit") => match head.query("code").map_or(Ok(0), str::parse) {
            Ok(code) => Action::Exit(code),
            Err(_) => Action::Answer(400, "code: not a number\n".to_owned()),
        },
        (_, "/sleep") => match head.query("ms").map(str::parse) {
            Some(Ok(ms)) => Action::Later(Duration::from_millis(ms), format!("slept {ms} ms\n")),
            _ => Action::Answer(400, "ms: how many milliseconds?\n".to_owned()),
        },
        (_, "/healthz") => {
            let failing = state.failing_until.lock().is_some_and(|until| now < until);
            if failing {
                Action::Answer(503, "failing, as told\n".to_owned())
            } else {
                Action::Answer(200, "ok\n".to_owned())
            }
        }
        (_, "/hostname") => Action::Answer(200, format!("{}\n", state.pod())),
        (_, "/env") => {
            Action::Answer(200, state.environment.iter().map(|(name, value)| format!("{name}={value}\n")).collect())
        }
        (_, "/headers") => Action::Answer(200, headers()),
        _ => Action::Answer(
            200,
            format!(
                "pod: {}\nnamespace: {}\nnode: {}\naddress: {local}\nclient: {client}\nrequest: {} {}\n\n{}",
                state.pod(),
                state.variable(&["POD_NAMESPACE", "MKUBE_POD_NAMESPACE"]),
                state.node(),
                head.method,
                head.target,
                headers()
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{address, state};
    use super::*;

    fn ask(state: &State, request: &str) -> Action {
        let head = Head::parse(&format!("{request} HTTP/1.1\r\nHost: x\r\nX-Y: z")).unwrap();
        decide(&head, state, address("10.0.0.2:8080"), address("10.0.0.1:999"), Instant::now())
    }

    #[test]
    fn answers() {
        let state = state();
        let Action::Answer(200, text) = ask(&state, "GET /where?x=1") else { panic!() };
        for expected in [
            "pod: web-1\n",
            "node: n1\n",
            "address: 10.0.0.2:8080\n",
            "client: 10.0.0.1:999\n",
            "request: GET /where?x=1\n",
            "X-Y: z\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert_eq!(ask(&state, "GET /hostname"), Action::Answer(200, "web-1\n".into()));
        assert!(matches!(ask(&state, "GET /env"), Action::Answer(200, text) if text.starts_with("A=b\n")));
        assert_eq!(ask(&state, "GET /sleep?ms=5"), Action::Later(Duration::from_millis(5), "slept 5 ms\n".into()));
        assert_eq!(ask(&state, "POST /exit?code=3"), Action::Exit(3));
        assert_eq!(ask(&state, "POST /fail?for=10s"), Action::Fail(Some(Duration::from_secs(10))));
        assert_eq!(ask(&state, "POST /fail"), Action::Fail(None));
        for bad in ["GET /sleep", "GET /sleep?ms=x", "GET /exit?code=x", "GET /fail?for=x"] {
            assert!(matches!(ask(&state, bad), Action::Answer(400, _)), "{bad}");
        }
    }

    #[test]
    fn health_fails_as_long_as_told() {
        let state = state();
        assert_eq!(ask(&state, "GET /healthz"), Action::Answer(200, "ok\n".into()));
        *state.failing_until.lock() = Some(Instant::now() + Duration::from_secs(60));
        assert!(matches!(ask(&state, "GET /healthz"), Action::Answer(503, _)));
        *state.failing_until.lock() = Some(Instant::now() - Duration::from_millis(1));
        assert!(matches!(ask(&state, "GET /healthz"), Action::Answer(200, _)));
    }
}
