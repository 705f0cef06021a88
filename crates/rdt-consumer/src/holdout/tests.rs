use std::collections::BTreeSet;

use super::*;

fn origin(source: &str, key: &str) -> Origin {
    Origin { source: source.into(), key: key.into() }
}

#[test]
fn numbers_and_samples_are_one_to_one() {
    let mut selection = Selection::default();
    let ids = [0, 1, 2, 7, 8, 20];
    ids.iter().for_each(|&id| selection.push(id));
    assert_eq!((selection.samples(), selection.runs.len()), (6, 3));
    for (number, id) in (0..).zip(ids) {
        assert_eq!(selection.sample(number), SampleId::new(id));
        assert_eq!(selection.number(SampleId::new(id)), Some(number));
    }
    for absent in [3, 6, 9, 19, 21] {
        assert_eq!(selection.number(SampleId::new(absent)), None, "{absent}");
    }
}

#[test]
fn about_the_share_is_held_out_and_the_choice_never_changes() {
    let held = |share: f64| {
        (0..10_000)
            .filter(|i| draw::unit(hash("libero", &origin("a.hdf5", &format!("demo_{i}")))) < share)
            .count()
    };
    // Standard deviation 22.
    assert!((400..600).contains(&held(0.05)), "{}", held(0.05));
    assert_eq!(hash("libero", &origin("a.hdf5", "data/demo_0")), HELD);
    let apart = [("ab", "c", ""), ("a", "bc", ""), ("a", "b", "c"), ("", "abc", "")];
    let hashes: BTreeSet<u64> = apart.iter().map(|(d, s, k)| hash(d, &origin(s, k))).collect();
    assert_eq!(hashes.len(), apart.len());
}

/// Runs that were held out by this value are resumed with it.
const HELD: u64 = 13_206_554_686_908_812_563;
