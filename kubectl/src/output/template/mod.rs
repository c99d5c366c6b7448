//! Go templates as far as kubectl's users write them (Go, text/template): fields, variables, `if`, `range`, `with`, pipelines,
//! comparisons, `index`, `len`, `printf` and kubectl's own `exists` and `base64decode`. `define` and `template` are refused.

mod eval;
mod format;
mod parse;

use serde_json::Value;

/// A template that can be rendered.
#[derive(Debug, Clone)]
pub struct Template {
    nodes: Vec<parse::Node>,
    /// As it was given.
    pub text: String,
    strict: bool,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// In text/template's words, with the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(Self { nodes: parse::parse(text)?, text: text.to_string(), strict: false })
    }

    /// Whether a field that is not there is an error.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// What the template makes of an object; with an error also what came before it.
    ///
    /// # Errors
    /// In text/template's words.
    pub fn render(&self, object: &Value) -> (String, Result<(), String>) {
        eval::render(&self.nodes, object, self.strict)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(text: &str) -> Result<String, String> {
        let object = json!({
            "kind": "List", "n": 3, "f": 1.5, "yes": true, "empty": "", "nil": null, "secret": "aGk=",
            "items": [{"name": "a", "labels": {"app": "x", "k8s.io/t": "y"}, "ready": true}, {"name": "b", "ready": false}],
            "map": {"b": 2, "a": 1},
        });
        let (out, ended) = Template::parse(text)?.render(&object);
        ended.map(|()| out)
    }

    #[test]
    fn templates_render_as_go_s() {
        for (text, expected) in [
            ("{{.kind}} {{.n}} {{.f}} {{.yes}}", "List 3 1.5 true"),
            ("{{.nope}} {{.nope.more}} {{.nil}}", "<no value> <no value> <no value>"),
            ("{{range .items}}{{.name}},{{end}}", "a,b,"),
            ("{{range $i, $x := .items}}{{$i}}={{$x.name}} {{end}}", "0=a 1=b "),
            ("{{range $k, $v := .map}}{{$k}}{{$v}}{{end}}", "a1b2"),
            ("{{range .nothing}}x{{else}}none{{end}}", "none"),
            ("{{range 3}}{{.}}{{end}}", "012"),
            ("{{range .items}}{{if .ready}}{{.name}}{{continue}}{{end}}!{{break}}{{end}}", "a!"),
            ("{{if .empty}}a{{else if .yes}}b{{else}}c{{end}}", "b"),
            ("{{with .map}}{{.a}}{{end}}{{with .nil}}x{{else}}y{{end}}", "1y"),
            ("{{$x := 1}}{{if true}}{{$x = 2}}{{end}}{{$x}}", "2"),
            ("{{range .items}}{{$.kind}}{{end}}", "ListList"),
            ("{{(index .items 1).name}} {{index .items 0 \"labels\" \"k8s.io/t\"}}", "b y"),
            ("{{len .items}} {{len \"abc\"}}", "2 3"),
            ("{{if and .yes (eq .n 3)}}1{{end}}{{if or .empty .nil}}2{{end}}{{if not .nil}}3{{end}}", "13"),
            ("{{if eq .kind \"A\" \"List\"}}t{{end}}{{ne 1 2}}{{lt 1 2}}{{ge 2 3}}{{gt .f 1.0}}", "ttruetruefalsetrue"),
            ("{{.kind | printf \"%s-%d\" | len}}", "17"),
            (
                "{{printf \"%-6s|%3d|%q|%v|%t|%.2f|%%\" .kind .n .kind .map .yes .f}}",
                "List  |  3|\"List\"|map[a:1 b:2]|true|1.50|%",
            ),
            ("{{printf \"%d %s\" .kind .n}}", "%!d(string=List) %!s(int64=3)"),
            ("{{print 1 2 \"a\" \"b\" 3}}{{println .kind}}", "1 2ab3List\n"),
            ("a {{- 1 -}} b{{/* no */}}{{`raw\\`}}", "a1braw\\"),
            ("{{.secret | base64decode}}{{exists .map \"a\"}}{{exists .map \"c\"}}", "hitruefalse"),
            ("{{.items}}", "[map[labels:map[app:x k8s.io/t:y] name:a ready:true] map[name:b ready:false]]"),
            ("{{\"tab\\tq\\\"\"}}", "tab\tq\""),
            ("{{slice \"abcd\" 1 3}}{{html \"<a>\"}}", "bc&lt;a&gt;"),
        ] {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, error) in [
            ("{{.x", "template: output:1: unclosed action"),
            ("{{if .x}}", "template: output:1: unexpected EOF"),
            ("a\n{{end}}", "template: output:2: unexpected {{end}}"),
            ("{{nope .x}}", "template: output:1: function \"nope\" not defined"),
            ("{{$x}}", "template: output:1: undefined variable \"$x\""),
            ("{{define \"x\"}}{{end}}", "template: output:1: {{define}} is not supported by mkubectl"),
            ("{{index .items 9}}", "error calling index: index out of range: 9"),
            ("{{.kind.name}}", "can't evaluate field name in type interface {}"),
            ("{{lt .kind 1}}", "error calling lt: incompatible types for comparison"),
        ] {
            let got = run(text).unwrap_err();
            assert!(got.contains(error), "{text}: {got}");
        }
        let strict = Template::parse("{{.a}}").unwrap().strict(true).render(&json!({})).1.unwrap_err();
        assert!(strict.ends_with("map has no entry for key \"a\""), "{strict}");
        assert_eq!(run("{{(1)}}").as_deref(), Ok("1"));
        assert!(run(&format!("{{{{{}1{}}}}}", "(".repeat(5000), ")".repeat(5000))).is_err());
    }
}
