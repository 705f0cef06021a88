//! A live producer in this process: the stream, full devices, bad sources, workers that hang or
//! die, restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rdt_buffer::live::{Follower, FollowerOptions, totals};

use super::*;
use crate::tests::make::{Place, Result, fill_quietly};

const PATIENCE: Duration = Duration::from_secs(20);

fn options(place: &Place, chunks: u32) -> Result<FollowOptions> {
    let mut options = FollowOptions::new(place.options(10, 2)?);
    options.options.num_chunks = Some(chunks);
    options.options.spread = Some(Spread { chunks: 3.try_into()?, run_length: 4.try_into()? });
    options.fill = true;
    Ok(options)
}

/// What a producer said.
type Said = Arc<Mutex<Vec<String>>>;

fn start(options: FollowOptions, dir: &Path) -> Result<(Follow, Said)> {
    let said = Said::default();
    let heard = Arc::clone(&said);
    let follow = Follow::start(options, dir, StopFlag::default(), move |event| {
        heard.lock().unwrap().push(format!("{event:?}"));
    })?;
    Ok((follow, said))
}

fn has_said(said: &Said, word: &str) -> bool {
    said.lock().unwrap().iter().any(|line| line.contains(word))
}

/// (file, key, step) of the next `count` samples.
fn take(follower: &mut Follower, count: usize) -> Result<Vec<(String, String, u32)>> {
    let (mut taken, began) = (Vec::new(), Instant::now());
    while taken.len() < count {
        match follower.claim()? {
            Some(sample) => {
                let origin = sample.origin()?;
                taken.push((origin.source, origin.episode, origin.step));
                sample.deliver();
            }
            None if began.elapsed() > PATIENCE => return Err(format!("only {} samples", taken.len()).into()),
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    Ok(taken)
}

fn follower(dir: &Path) -> Result<Follower> {
    Ok(Follower::new(dir, FollowerOptions { window: 4, seed: 3, stored_images: false })?)
}

#[test]
fn every_pass_holds_each_step_once_also_over_restarts() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[7, 12, 5])?;
    place.episodes("b.hdf5", &[30, 9])?;
    let all = 63;
    let dir = place.path("buffer");
    let mut taken = Vec::new();
    for restart in 0..4 {
        // With several workers what one has published beyond what another had in hand, and is consumed
        // already, comes again after a stop.
        let mut options = options(&place, 4)?;
        options.options.workers = std::num::NonZeroUsize::MIN;
        let (follow, _) = start(options, &dir)?;
        let mut follower = follower(&dir)?;
        taken.extend(take(&mut follower, 100 + restart)?);
        follow.finish(PATIENCE);
    }
    // What is left in the buffer belongs to the stream, too.
    let mut follower = follower(&dir)?;
    while let Some(sample) = follower.claim()? {
        let origin = sample.origin()?;
        taken.push((origin.source, origin.episode, origin.step));
        sample.deliver();
    }
    let mut counts: BTreeMap<_, u32> = BTreeMap::new();
    taken.iter().for_each(|sample| *counts.entry(sample).or_default() += 1);
    assert_eq!(counts.len(), all, "steps are missing");
    let (least, most) = (counts.values().min(), counts.values().max());
    // A pass goes by episodes, so the last one may have begun.
    assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{least:?} to {most:?} times");
    let totals = totals(&dir)?;
    assert_eq!((totals.produced, totals.delivered), (taken.len() as u64, taken.len() as u64));
    Ok(())
}

#[test]
fn shards_share_each_pass() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[7, 12, 5, 8, 9, 10])?;
    let dir = place.path("buffer");
    let mut producers = Vec::new();
    for index in 0..2 {
        let mut options = options(&place, 6)?;
        options.shard = Shard::new(index, 2).ok_or("a shard")?;
        producers.push(start(options, &dir)?.0);
    }
    let mut follower = follower(&dir)?;
    let taken = take(&mut follower, 400)?;
    let distinct: BTreeSet<_> = taken.iter().collect();
    assert_eq!(distinct.len(), 51, "each shard has draws of its own, together all");
    producers.into_iter().for_each(|producer| drop(producer.finish(PATIENCE)));
    Ok(())
}

#[test]
fn shards_have_the_weights_also_over_restarts() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[10; 4])?;
    std::fs::create_dir(place.path("more"))?;
    std::fs::copy(place.path("data/a.hdf5"), place.path("more/b.hdf5"))?;
    let dir = place.path("buffer");
    let more = format!("more:{}={}", place.path("card.yaml").display(), place.path("more").display());
    let mut taken: Vec<(u32, String)> = Vec::new();
    for _restart in 0..3 {
        let mut producers = Vec::new();
        for index in 0..2 {
            let mut options = options(&place, 12)?;
            options.options.datasets.push(crate::DatasetSpec::parse(&more)?);
            options.options.datasets[0].weight = 3.0;
            options.shard = Shard::new(index, 2).ok_or("a shard")?;
            producers.push(start(options, &dir)?.0);
        }
        let mut follower = follower(&dir)?;
        let (target, began) = (taken.len() + 400, Instant::now());
        while taken.len() < target && began.elapsed() < PATIENCE {
            match follower.claim()? {
                Some(sample) => {
                    let origin = sample.origin()?;
                    taken.push((origin.chunk / 6, origin.source));
                    sample.deliver();
                }
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        }
        producers.into_iter().for_each(|producer| drop(producer.finish(PATIENCE)));
    }
    for shard in 0..2 {
        let of_shard: Vec<&String> =
            taken.iter().filter(|(of, _)| *of == shard).map(|(_, source)| source).collect();
        let share =
            of_shard.iter().filter(|source| **source == "a.hdf5").count() as f64 / of_shard.len() as f64;
        assert!(of_shard.len() > 200 && (0.7..0.8).contains(&share), "shard {shard}: {share}");
    }
    Ok(())
}

#[test]
fn of_long_episodes_some_steps_are_drawn_anew_each_pass() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[40, 8])?;
    let mut options = options(&place, 4)?;
    options.options.config.dataset.epsd_len_thresh_high = 10;
    let dir = place.path("buffer");
    let (follow, _) = start(options, &dir)?;
    let mut follower = follower(&dir)?;
    let taken = take(&mut follower, 18 * 20)?;
    follow.finish(PATIENCE);
    let of =
        |key: &str| taken.iter().filter(|sample| sample.1 == key).map(|sample| sample.2).collect::<Vec<_>>();
    let (long, short) = (of("data/demo_0"), of("data/demo_1"));
    // Chunks are taken in no order, so the passes at the end are not whole.
    let share = long.len() as f64 / short.len() as f64;
    assert!((0.9..1.7).contains(&share), "{} of the long one, {} of the short", long.len(), short.len());
    assert!(long.iter().collect::<BTreeSet<_>>().len() > 35, "always the same steps");
    Ok(())
}

#[test]
fn unread_samples_are_carried_over() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[30, 30])?;
    let dir = place.path("buffer");
    let mut options = options(&place, 3)?;
    options.refill_at = 0.5;
    let (follow, _) = start(options, &dir)?;
    let mut follower = follower(&dir)?;
    let mut taken = Vec::new();
    for _ in 0..150 {
        taken.extend(take(&mut follower, 1)?);
        // Slow enough that a chunk is seen while it is partly read.
        std::thread::sleep(Duration::from_millis(3));
    }
    let figures = follow.figures();
    follow.finish(PATIENCE);
    assert!(figures.carried > 0, "{figures:?}");
    while let Some(sample) = follower.claim()? {
        let origin = sample.origin()?;
        taken.push((origin.source, origin.episode, origin.step));
        sample.deliver();
    }
    let totals = totals(&dir)?;
    assert_eq!((totals.produced, totals.delivered, totals.lost), (taken.len() as u64, taken.len() as u64, 0));
    Ok(())
}

#[test]
fn a_filled_buffer_is_taken_over_and_only_replaced() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[7, 12, 5])?;
    let dir = place.path("buffer");
    let mut only_replaces = options(&place, 1)?;
    only_replaces.options.num_chunks = None;
    only_replaces.fill = false;
    let refused = start(only_replaces.clone(), &dir).err().ok_or("not refused")?.to_string();
    assert!(refused.contains("fill_up"), "{refused}");
    // Three chunks, the last one not full.
    fill_quietly(&place.options(10, 2)?, &dir)?;
    let (follow, _) = start(only_replaces.clone(), &dir)?;
    let refused = fill_quietly(&place.options(10, 2)?, &dir).err().ok_or("not refused")?.to_string();
    assert!(refused.contains("is being produced"), "{refused}");
    let mut follower = follower(&dir)?;
    take(&mut follower, 200)?;
    follow.finish(PATIENCE);
    let buffer = rdt_buffer::Buffer::open(&dir)?;
    assert_eq!(buffer.published_chunks()?.len(), 3);
    let refused = fill_quietly(&place.options(10, 2)?, &dir).err().ok_or("not refused")?.to_string();
    assert!(refused.contains("is a live buffer"), "{refused}");
    only_replaces.options.chunk_size = 11;
    let refused = start(only_replaces, &dir).err().ok_or("not refused")?.to_string();
    assert!(refused.contains("chunk_size is 11, expected 10"), "{refused}");
    Ok(())
}

#[test]
fn a_source_that_goes_bad_is_named_and_left_out() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20, 20])?;
    place.episodes("b.hdf5", &[20])?;
    let dir = place.path("buffer");
    let (follow, said) = start(options(&place, 4)?, &dir)?;
    let mut follower = follower(&dir)?;
    take(&mut follower, 100)?;
    std::fs::write(place.path("data/b.hdf5"), "this is no HDF5 any more")?;
    let began = Instant::now();
    while !has_said(&said, "b.hdf5") && began.elapsed() < PATIENCE {
        take(&mut follower, 10)?;
    }
    take(&mut follower, 100)?;
    let later = take(&mut follower, 100)?;
    assert!(later.iter().all(|sample| sample.0 == "a.hdf5"));
    follow.supervise()?;
    let report = follow.finish(PATIENCE);
    assert_eq!(report.skipped.len(), 1);
    assert!(report.skipped[0].reason.contains("changed"), "{:?}", report.skipped);
    Ok(())
}

#[test]
fn workers_that_die_or_hang_are_named_and_replaced() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20, 20])?;
    let dir = place.path("buffer");
    let mut options = options(&place, 6)?;
    options.stall_after = Duration::from_secs(1);
    let (follow, said) = start(options, &dir)?;
    let mut follower = follower(&dir)?;
    take(&mut follower, 60)?;
    for (what, told) in [("panics", "it died (a test panics)"), ("hangs", "it has hung")] {
        let is_first = std::sync::atomic::AtomicBool::new(true);
        *lock_whole(&follow.shared.probe) = Some(Arc::new(move |_: &str| {
            if is_first.swap(false, Ordering::SeqCst) {
                match what {
                    "panics" => panic!("a test panics"),
                    _ => std::thread::sleep(Duration::from_secs(5)),
                }
            }
        }));
        let began = Instant::now();
        while !has_said(&said, told) {
            assert!(began.elapsed() < PATIENCE, "{what}: {:?}", said.lock().unwrap());
            if let Some(sample) = follower.claim()? {
                sample.deliver();
            }
            follow.supervise()?;
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(has_said(&said, "data/demo_"), "the episode is not named");
        take(&mut follower, 100)?;
    }
    // A busy disk may look like a worker that hangs.
    assert!(follow.figures().replaced_workers >= 2);
    // The one that hung comes back, and nothing is there twice.
    std::thread::sleep(Duration::from_secs(4));
    take(&mut follower, 100)?;
    follow.finish(PATIENCE);
    while let Some(sample) = follower.claim()? {
        sample.deliver();
    }
    let totals = totals(&dir)?;
    assert_eq!((totals.produced, totals.lost, totals.unread), (totals.delivered, 0, 0));
    Ok(())
}

#[test]
fn a_full_device_pauses_and_goes_on_when_there_is_room() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20, 20])?;
    let dir = place.path("buffer");
    let storage = Full::default();
    let said = Said::default();
    let heard = Arc::clone(&said);
    let follow = Follow::start_on(
        Arc::new(storage.clone()),
        options(&place, 4)?,
        &dir,
        StopFlag::default(),
        move |event| heard.lock().unwrap().push(format!("{event:?}")),
    )?;
    let mut follower = follower(&dir)?;
    take(&mut follower, 60)?;
    storage.0.store(true, Ordering::SeqCst);
    let began = Instant::now();
    while !has_said(&said, "Paused") {
        assert!(began.elapsed() < PATIENCE, "{:?}", said.lock().unwrap());
        if let Some(sample) = follower.claim()? {
            sample.deliver();
        }
    }
    assert!(
        has_said(&said, "No space left") || has_said(&said, "no storage space"),
        "{:?}",
        said.lock().unwrap()
    );
    // What another worker had written before counts as room for a moment.
    while !follow.figures().is_paused {
        assert!(began.elapsed() < PATIENCE, "not paused");
        follow.supervise()?;
        std::thread::sleep(Duration::from_millis(2));
    }
    storage.0.store(false, Ordering::SeqCst);
    take(&mut follower, 60)?;
    assert!(has_said(&said, "Resumed") && !follow.figures().is_paused);
    follow.finish(PATIENCE);
    Ok(())
}

/// A device that is full for as long as it is told to be.
#[derive(Debug, Clone, Default)]
struct Full(Arc<AtomicBool>);

impl Full {
    fn room(&self) -> std::io::Result<()> {
        if self.0.load(Ordering::SeqCst) { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Storage for Full {
    fn create(&self, path: &Path) -> std::io::Result<Box<dyn rdt_buffer::storage::StorageFile>> {
        self.room()?;
        Disk.create(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        Disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> std::io::Result<()> {
        self.room()?;
        Disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> std::io::Result<()> {
        Disk.remove(path)
    }

    fn create_folder(&self, path: &Path) -> std::io::Result<()> {
        Disk.create_folder(path)
    }

    fn sync_folder(&self, path: &Path) -> std::io::Result<()> {
        Disk.sync_folder(path)
    }
}
