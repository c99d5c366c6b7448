//! Reads `schema.txt`, a line-oriented table that diffs well:
//!
//! ```text
//! P10 io.k8s.api.core.v1                     a package and its number
//! D 10:Volume                                a definition of OpenAPI (H: one that has only a protocol description)
//! D 24:Time string:date-time                 one that is no object
//! D 10:ObjectReference atomic                one that merges treat as a whole
//!  name|1|s|rk                               field | protobuf number | type | flags | list keys | merge key | Go type
//! ```
//!
//! Types: `s i l b y d` are string, int32, int64, bool, bytes, double; `[]` and `{}` before a type make lists and maps;
//! `24:Time` is another definition, without a number one of the same package. Flags: `r`equired, `p`ointer, `k`eep when
//! empty, omit`z`ero, `I`nline; lists: `a`tomic, `s`et, `m`ap; `A`tomic map or object; patch: `M`erge, `R`etain keys,
//! e`X`change. The file is part of the program, so damage is a bug that the tests of this module find; the parser skips
//! what it cannot read.

use std::collections::HashMap;

use super::{Def, DefId, Extra, Field, Form, ListType, MOST_FIELDS, Names, PatchStrategy, Table, Type};

pub(super) fn parse(text: &'static str) -> Table {
    let (packages, mut defs) = declare(text);
    let mut by_name = HashMap::new();
    for (at, def) in defs.iter().enumerate() {
        by_name.insert((def.package, def.short), u16::try_from(at).unwrap_or(u16::MAX));
    }
    let mut reader = Reader { packages: &packages, by_name: &by_name, interned: HashMap::new() };
    let mut at: Option<usize> = None;
    for line in text.lines() {
        if declaration(line).is_some() {
            at = Some(at.map_or(0, |at| at + 1));
        } else if let (Some(line), Some(def)) = (line.strip_prefix(' '), at.and_then(|at| defs.get_mut(at)))
            && let Some((field, inline)) = reader.field(line, def.package)
        {
            if inline { def.inline.push(field) } else { def.fields.push(field) }
        }
    }
    defs.iter_mut().for_each(arrange);
    // What is written of fields that are empty depends on the forms of other definitions.
    let forms: Vec<Form> = defs.iter().map(|def| def.form).collect();
    for def in &mut defs {
        let positions = def.fields.iter().enumerate().filter(|(_, field)| always_written(field, &forms));
        def.always = positions.filter_map(|(at, _)| u16::try_from(at).ok()).collect();
        let plain = def.fields.iter().take(MOST_FIELDS).enumerate().filter(|(_, field)| is_plain(field, &forms));
        def.plain = plain.fold(0, |plain, (at, _)| plain | 1 << at);
    }
    Table { defs, by_name }
}

/// Whether Go writes the field even when nothing is in it: scalars without `omitempty`, and structs, which are never empty.
fn always_written(field: &Field, forms: &[Form]) -> bool {
    match field.ty {
        _ if field.pointer || field.number == 0 => false,
        Type::String | Type::Int32 | Type::Int64 | Type::Bool | Type::Double => field.keep,
        Type::Def(id) => match forms[usize::from(id.0)] {
            Form::Object | Form::Quantity => !field.omit_zero,
            Form::IntOrString => field.keep,
            _ => false,
        },
        Type::Bytes | Type::List(_) | Type::Map(_) => false,
    }
}

/// Whether the field is on the wire even when it is absent, with its zero: scalars and structs that are no pointers.
fn is_plain(field: &Field, forms: &[Form]) -> bool {
    let kept = match field.ty {
        Type::List(_) | Type::Map(_) | Type::Bytes => false,
        Type::Def(id) => forms[usize::from(id.0)] != Form::Items,
        _ => true,
    };
    kept && !field.pointer
}

/// Package number, name and form of a line that declares a definition.
fn declaration(line: &str) -> Option<(&str, &str, &str)> {
    let rest = line.strip_prefix("D ").or_else(|| line.strip_prefix("H "))?;
    let (name, form) = rest.split_once(' ').unwrap_or((rest, ""));
    let (package, short) = name.split_once(':')?;
    Some((package, short, form))
}

/// Packages by number, and definitions without their fields.
fn declare(text: &'static str) -> (HashMap<&'static str, &'static str>, Vec<Def>) {
    let mut packages: HashMap<&'static str, &'static str> = HashMap::new();
    let mut defs = vec![];
    for line in text.lines() {
        if let Some((number, package)) = line.strip_prefix('P').and_then(|l| l.split_once(' ')) {
            packages.insert(number, package);
        } else if let Some((package, short, form)) = declaration(line) {
            defs.push(Def {
                package: packages.get(package).copied().unwrap_or(""),
                short,
                open: line.starts_with('D'),
                form: form_of(short),
                atomic: form == "atomic",
                fields: vec![],
                inline: vec![],
                names: Names::default(),
                order: vec![],
                plain: 0,
                always: vec![],
            });
        }
    }
    (packages, defs)
}

/// Sorts fields by name, and notes their order by number.
fn arrange(def: &mut Def) {
    def.fields.sort_by_key(|field| field.name);
    def.fields.shrink_to_fit();
    def.names = Names::of(&def.fields);
    let number = |at: u16| {
        let at = usize::from(at);
        def.fields.get(at).or_else(|| def.inline.get(at - def.fields.len())).map_or(0, |field| field.number)
    };
    let all = u16::try_from(def.fields.len() + def.inline.len()).unwrap_or(u16::MAX);
    let mut order: Vec<u16> = (0..all).filter(|at| number(*at) != 0).collect();
    order.sort_by_key(|at| number(*at));
    def.order = order;
    if let ([only], false, Form::Object) = (def.fields.as_slice(), def.open, def.form)
        && only.name == "items"
    {
        def.form = Form::Items;
    }
}

fn form_of(short: &str) -> Form {
    match short {
        "Time" => Form::Time,
        "MicroTime" => Form::MicroTime,
        "Quantity" => Form::Quantity,
        "IntOrString" => Form::IntOrString,
        "RawExtension" => Form::Raw,
        "FieldsV1" => Form::Fields,
        "JSON" => Form::Json,
        "JSONSchemaPropsOrBool" => Form::SchemaOrBool,
        "JSONSchemaPropsOrArray" => Form::SchemaOrArray,
        "JSONSchemaPropsOrStringArray" => Form::SchemaOrStrings,
        _ => Form::Object,
    }
}

struct Reader<'a> {
    packages: &'a HashMap<&'static str, &'static str>,
    by_name: &'a HashMap<(&'static str, &'static str), u16>,
    /// Element types, leaked once each.
    interned: HashMap<&'static str, &'static Type>,
}

impl Reader<'_> {
    fn field(&mut self, line: &'static str, package: &'static str) -> Option<(Field, bool)> {
        let mut columns = line.split('|');
        let mut next = || columns.next().unwrap_or("");
        let (name, number, ty, flags, keys, merge_key, go) = (next(), next(), next(), next(), next(), next(), next());
        let has = |flag: char| flags.contains(flag);
        let list = match (has('a'), has('s'), has('m')) {
            (true, ..) => ListType::Atomic,
            (_, true, _) => ListType::Set,
            (.., true) => ListType::Map,
            _ => ListType::None,
        };
        let plain = keys.is_empty() && merge_key.is_empty() && go.is_empty();
        let extra = || Extra { keys: keys.split(',').filter(|key| !key.is_empty()).collect(), merge_key, go };
        let field = Field {
            name,
            ty: self.ty(ty, package)?,
            number: if number.is_empty() { 0 } else { number.parse().ok()? },
            required: has('r'),
            list,
            atomic: has('A'),
            patch: PatchStrategy { merge: has('M'), retain_keys: has('R'), replace: has('X') },
            pointer: has('p'),
            keep: has('k'),
            omit_zero: has('z'),
            extra: (!plain).then(|| Box::new(extra())),
        };
        Some((field, has('I')))
    }

    fn ty(&mut self, text: &'static str, package: &'static str) -> Option<Type> {
        if let Some(element) = text.strip_prefix("[]") {
            return Some(Type::List(self.interned(element, package)?));
        }
        if let Some(element) = text.strip_prefix("{}") {
            return Some(Type::Map(self.interned(element, package)?));
        }
        Some(match text {
            "s" => Type::String,
            "i" => Type::Int32,
            "l" => Type::Int64,
            "b" => Type::Bool,
            "y" => Type::Bytes,
            "d" => Type::Double,
            name => {
                let key = match name.split_once(':') {
                    Some((number, short)) => (*self.packages.get(number)?, short),
                    None => (package, name),
                };
                Type::Def(DefId(*self.by_name.get(&key)?))
            }
        })
    }

    /// Elements of the same name and package are one allocation. Names without a package number are made unique by
    /// not sharing them: only scalars and foreign definitions repeat often.
    fn interned(&mut self, text: &'static str, package: &'static str) -> Option<&'static Type> {
        if let Some(known) = self.interned.get(text) {
            return Some(known);
        }
        let leaked: &'static Type = Box::leak(Box::new(self.ty(text, package)?));
        if text.contains(':') || text.len() == 1 {
            self.interned.insert(text, leaked);
        }
        Some(leaked)
    }
}

#[cfg(test)]
mod tests;
