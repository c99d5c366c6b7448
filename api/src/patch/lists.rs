//! Lists under strategic merge: elements are found by their merge key (maps) or by themselves (scalars), and the order of what
//! is merged is settled by three lists: the patch's wanted order first, then the patch, then the live list.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::{Error, bad_type, go_text};

/// Marks an element or a map for special treatment.
pub(super) const DIRECTIVE: &str = "$patch";

/// What a list consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Elements {
    Maps,
    Scalars,
}

/// What the lists consist of; all elements must be of one type and none a list. `None` if there are none.
pub(super) fn elements(lists: [&[Value]; 2]) -> Result<Option<Elements>, Error> {
    let mut all = lists.into_iter().flatten();
    let Some(first) = all.next() else { return Ok(None) };
    if first.is_array() {
        return Err(Error::ListOfLists);
    }
    let same = |other: &Value| match (first, other) {
        (Value::Number(a), Value::Number(b)) => a.is_f64() == b.is_f64(),
        _ => std::mem::discriminant(first) == std::mem::discriminant(other),
    };
    if first.is_null() || !all.all(same) {
        let shown: Vec<String> = lists.into_iter().map(|list| go_text(&Value::from(list.to_vec()))).collect();
        return Err(Error::Other(format!("list element types are not identical: [{}]", shown.join(" "))));
    }
    Ok(Some(if first.is_object() { Elements::Maps } else { Elements::Scalars }))
}

/// An element as a map.
pub(super) fn as_map(element: &Value) -> Result<&Map<String, Value>, Error> {
    element.as_object().ok_or_else(|| bad_type("map[string]interface {}", element))
}

/// The value by which an element is found: that of its merge key, or itself if there is no merge key.
pub(super) fn identity<'a>(element: &'a Value, merge_key: &str) -> Result<&'a Value, Error> {
    if merge_key.is_empty() {
        return Ok(element);
    }
    as_map(element)?.get(merge_key).ok_or_else(|| {
        let shown = go_text(element);
        Error::Other(format!("map: {shown} does not contain declared merge key: {merge_key}"))
    })
}

/// Whether an element is to be deleted.
pub(super) fn is_deletion(element: &Value) -> bool {
    element.get(DIRECTIVE).is_some_and(|directive| directive == "delete")
}

/// Where each element stands in a list; the first place counts.
pub(super) struct Places(HashMap<String, usize>);

impl Places {
    pub(super) fn of(list: &[Value], merge_key: &str) -> Result<Self, Error> {
        let mut places = HashMap::with_capacity(list.len());
        for (place, element) in list.iter().enumerate() {
            places.entry(identity(element, merge_key)?.to_string()).or_insert(place);
        }
        Ok(Self(places))
    }

    /// The same where elements may lack the key: those are found by nobody.
    pub(super) fn of_keyed(list: &[Value], merge_key: &str) -> Result<Self, Error> {
        let mut places = Self(HashMap::with_capacity(list.len()));
        for (place, element) in list.iter().enumerate() {
            if let Some(key) = as_map(element)?.get(merge_key) {
                places.insert(key, place);
            }
        }
        Ok(places)
    }

    pub(super) fn insert(&mut self, identity: &Value, place: usize) {
        self.0.entry(identity.to_string()).or_insert(place);
    }

    pub(super) fn get(&self, element: &Value, merge_key: &str) -> Result<Option<usize>, Error> {
        Ok(self.0.get(&identity(element, merge_key)?.to_string()).copied())
    }

    pub(super) fn find(&self, identity: &Value) -> Option<usize> {
        self.0.get(&identity.to_string()).copied()
    }
}

/// Sorts elements by their place in `order`; deletions go last.
pub(super) fn sort_by_order(list: Vec<Value>, order: &[Value], merge_key: &str) -> Result<Vec<Value>, Error> {
    let places = Places::of(order, merge_key)?;
    let (deletions, mut kept): (Vec<Value>, Vec<Value>) = list.into_iter().partition(is_deletion);
    let mut keyed = Vec::with_capacity(kept.len());
    for element in kept.drain(..) {
        keyed.push((places.get(&element, merge_key)?.unwrap_or(usize::MAX), element));
    }
    keyed.sort_by_key(|(place, _)| *place);
    Ok(keyed.into_iter().map(|(_, element)| element).chain(deletions).collect())
}

/// Splits a merged list into what `listed` names and the rest, sorts the first by `order` and the rest by the live list, and
/// puts each of the rest before the first listed element that followed it in the live list.
///
/// Example: live `[a b c]`, listed and order `[c d]`, merged `[a b c d]`: rest `[a b]` precedes `c`, result `[a b c d]`.
pub(super) fn settle_order(
    merged: Vec<Value>,
    listed: &[Value],
    live: &[Value],
    merge_key: &str,
) -> Result<Vec<Value>, Error> {
    let names = Places::of(listed, merge_key)?;
    let (mut ours, mut rest) = (Vec::new(), Vec::new());
    for element in merged {
        if names.get(&element, merge_key)?.is_some() {
            ours.push(element);
        } else {
            rest.push(element);
        }
    }
    let ours = sort_by_order(ours, listed, merge_key)?;
    let rest = sort_by_order(rest, live, merge_key)?;
    let places = Places::of(live, merge_key)?;
    let mut result = Vec::with_capacity(ours.len() + rest.len());
    let (mut ours, mut rest) = (ours.into_iter().peekable(), rest.into_iter().peekable());
    loop {
        let rest_first = match (rest.peek(), ours.peek()) {
            (None, None) => return Ok(result),
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => match (places.get(a, merge_key)?, places.get(b, merge_key)?) {
                (Some(a), Some(b)) => a < b,
                _ => false,
            },
        };
        result.extend(if rest_first { rest.next() } else { ours.next() });
    }
}

/// The live list as the place of elements is looked up in after a merge with deletions: an element that the patch adds takes
/// the room of a deleted one. (Upstream deletes in place and appends into the room this leaves, while it still looks at the old
/// list; what was replaced by something else so keeps its place between the server's own elements.)
///
/// Example: live `[x y z]`, the patch deletes x and adds n: `[y z n]`, so that y, which nobody named, precedes n.
pub(super) fn after_deletions(live: &[Value], patch: &[Value], merge_key: &str) -> Vec<Value> {
    let key = |element: &Value| element.get(merge_key).cloned();
    let doomed: Vec<_> = patch.iter().filter(|element| is_deletion(element)).map(key).collect();
    let mut order: Vec<Value> = live.iter().filter(|element| !doomed.contains(&key(element))).cloned().collect();
    let known: Vec<_> = order.iter().map(key).collect();
    if order.len() < live.len() {
        let fresh = patch.iter().filter(|element| element.get(DIRECTIVE).is_none() && !known.contains(&key(element)));
        order.extend(fresh.cloned());
        order.truncate(live.len());
    }
    order
}

/// Each scalar once, the first place counts.
pub(super) fn distinct(list: Vec<Value>) -> Vec<Value> {
    let mut seen = std::collections::HashSet::new();
    list.into_iter().filter(|value| seen.insert(value.to_string())).collect()
}

/// Whether the elements of a patch stand in the same order as in the wanted order, which must name them all.
pub(super) fn check_order(patch: &[Value], order: &[Value], merge_key: &str) -> Result<(), Error> {
    if patch.is_empty() || order.is_empty() {
        return Ok(());
    }
    // As upstream walks the two lists: an element with a directive is stepped over only while some of the order is left.
    let elements: Vec<&Value> = patch.iter().filter(|element| merge_key.is_empty() || !is_deletion(element)).collect();
    let (mut element, mut place) = (0, 0);
    while element < elements.len() && place < order.len() {
        if elements[element].get(DIRECTIVE).is_some() {
            element += 1;
            continue;
        }
        if identity(elements[element], merge_key)? == identity(&order[place], merge_key)? {
            element += 1;
        }
        place += 1;
    }
    if element == elements.len() {
        return Ok(());
    }
    let (patch, order) = (go_text(&Value::from(patch.to_vec())), go_text(&Value::from(order.to_vec())));
    Err(Error::Other(format!("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")))
}

#[cfg(test)]
mod tests;
