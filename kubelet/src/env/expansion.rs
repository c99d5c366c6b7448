//! `$(NAME)` becomes the value of NAME; `$$` is a dollar sign; what cannot be resolved stays as it is
//! (k8s.io/kubernetes/third_party/forked/golang/expansion). Pure.

/// `text` with every `$(NAME)` replaced by `value(NAME)` if that is known.
pub fn expand(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        rest = match after.chars().next() {
            None => {
                out.push('$');
                after
            }
            Some('$') => {
                out.push('$');
                &after[1..]
            }
            Some('(') => match after.find(')') {
                Some(close) => {
                    let name = &after[1..close];
                    match value(name) {
                        Some(found) => out.push_str(&found),
                        None => out.push_str(&format!("$({name})")),
                    }
                    &after[close + 1..]
                }
                None => {
                    out.push_str("$(");
                    &after[1..]
                }
            },
            Some(other) => {
                out.push('$');
                out.push(other);
                &after[other.len_utf8()..]
            }
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_upstream_expands() {
        let value = |name: &str| match name {
            "VAR_A" => Some("A".to_string()),
            "VAR_B" => Some("B".to_string()),
            "VAR_REF" => Some("$(VAR_A)".to_string()),
            "VAR_EMPTY" => Some(String::new()),
            _ => None,
        };
        let table = [
            ("", ""),
            ("no variables", "no variables"),
            ("$(VAR_A)", "A"),
            ("___$(VAR_A)___", "___A___"),
            ("$(VAR_A)_$(VAR_B)", "A_B"),
            ("$(VAR_REF)", "$(VAR_A)"),
            ("foo-$(VAR_EMPTY)-bar", "foo--bar"),
            ("$(VAR_DNE)", "$(VAR_DNE)"),
            ("$$(VAR_A)", "$(VAR_A)"),
            ("$$$(VAR_A)", "$A"),
            ("$$$$(VAR_A)", "$$(VAR_A)"),
            ("$VAR_A", "$VAR_A"),
            ("$", "$"),
            ("$$", "$"),
            ("trailing$", "trailing$"),
            ("$(VAR_A", "$(VAR_A"),
            ("$()", "$()"),
            ("$é(VAR_A)", "$é(VAR_A)"),
            ("$(VAR_A))", "A)"),
            ("\n$(VAR_A)\n", "\nA\n"),
        ];
        for (text, expected) in table {
            assert_eq!(expand(text, value), expected, "{text:?}");
        }
    }
}
