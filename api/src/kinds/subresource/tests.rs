//! Names and bodies of subresources.

use super::*;

#[test]
fn names_round_trip() {
    for subresource in Subresource::ALL {
        assert_eq!(Subresource::parse(subresource.name()), Some(*subresource));
    }
    assert_eq!(Subresource::parse("nothing"), None);
}

#[test]
fn bodies_depend_on_the_parent() {
    let body = |plural| Subresource::Proxy.body(crate::kinds::find("", "v1", plural).unwrap().0).unwrap().2;
    assert_eq!(
        [body("nodes"), body("pods"), body("services")],
        ["NodeProxyOptions", "PodProxyOptions", "ServiceProxyOptions"]
    );
}
