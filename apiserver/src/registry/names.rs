//! Generated names: a prefix and five characters of an alphabet that makes neither words nor look-alikes
//! (apiserver, pkg/storage/names/generate.go; apimachinery, pkg/util/rand).

use rand::Rng;

const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const SUFFIX: usize = 5;
const LONGEST_PREFIX: usize = 63 - SUFFIX;

/// How often a taken name is replaced by another.
pub const ATTEMPTS: usize = 8;

/// A name that begins with `prefix`, as much of it as leaves room for the rest.
pub fn generate(prefix: &str) -> String {
    let mut end = prefix.len().min(LONGEST_PREFIX);
    while !prefix.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = prefix[..end].to_string();
    let mut random = rand::rng();
    name.extend((0..SUFFIX).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])));
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        let name = generate("web-");
        assert!(name.starts_with("web-") && name.len() == 9);
        assert!(name[4..].bytes().all(|b| ALPHABET.contains(&b)));
        assert_eq!(generate(&"a".repeat(100)).len(), 63);
        assert!(generate(&"é".repeat(50)).len() <= 63);
        assert_ne!(generate("x"), generate("x"));
    }
}
