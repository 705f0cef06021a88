//! The torture test: two producers, four consumers, `kill -9` at random times, restarts.
//!
//! What was delivered is taken from the lines that the consumers write, and from a fifth consumer
//! in this process, which holds every sample against what its origin says. How many samples there
//! were follows from the generations: each has as many slots as the one before.
//!
//! `RDT_TORTURE_SECONDS` makes it longer; it takes about two minutes without.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rdt_buffer::Buffer;
use rdt_buffer::live::{Claimed, Follower, FollowerOptions};
use rdt_chunk::FrameDecoder;
use rdt_schema::CameraSlot;
use serde_json::Value;

use super::data;
use crate::support::{buf, consume_command, produce, produce_command, run};

const CHUNKS: u32 = 24;
const CHUNK_SIZE: u32 = 256;
const PRODUCERS: usize = 2;
const CONSUMERS: usize = 4;
const BATCH: u64 = 16;
/// Batches that a consumer builds ahead.
const AHEAD: u64 = 2;
/// Samples of both parts together, at least.
const SAMPLES: u64 = 200_000;
/// A process is given this long to be at work after its start, also on a busy machine.
const STARTING: Duration = Duration::from_millis(2500);
/// The longest time without a sample while both sides live.
const LONGEST_GAP: Duration = Duration::from_secs(1);

/// A sample of a generation.
type Place = (u32, u64, u32);

fn seconds() -> u64 {
    std::env::var("RDT_TORTURE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(100)
}

/// Buffers are put where syncs are quick: kills are what is tested, and those do not lose memory.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir().then(|| tempfile::tempdir_in(memory)) {
        Some(Ok(folder)) => folder,
        _ => tempfile::tempdir().expect("a folder"),
    }
}

#[test]
fn producers_killed_at_random_lose_nothing_and_repeat_nothing() {
    let part = Duration::from_secs(seconds() / 2);
    Torture::new(Kills { consumers: false }, "1.0", 1).run(part, SAMPLES / 2);
}

#[test]
fn consumers_killed_at_random_lose_what_they_had_in_flight_and_it_is_counted() {
    let part = Duration::from_secs(seconds() / 2);
    Torture::new(Kills { consumers: true }, "0.8", 2).run(part, SAMPLES / 2);
}

#[derive(Clone, Copy)]
struct Kills {
    consumers: bool,
}

struct Torture {
    folder: tempfile::TempDir,
    kills: Kills,
    refill_at: &'static str,
    datasets: Vec<String>,
    random: u64,
}

/// A program that is started again whenever it is killed.
struct Program {
    child: Child,
    started: Instant,
    kills: u64,
}

impl Torture {
    fn new(kills: Kills, refill_at: &'static str, seed: u64) -> Self {
        let folder = scratch();
        let datasets = vec![data::write(folder.path(), "a", 12), data::write(folder.path(), "b", 5)];
        Self { folder, kills, refill_at, datasets, random: seed }
    }

    fn buffer(&self) -> PathBuf {
        self.folder.path().join("buffer")
    }

    fn ids(&self, consumer: usize) -> PathBuf {
        self.folder.path().join(format!("ids-{consumer}.jsonl"))
    }

    fn producer_args(&self, shard: usize) -> Vec<String> {
        let mut args: Vec<String> = ["--fill-up", "--follow", "--n-workers", "1"].map(String::from).into();
        for dataset in &self.datasets {
            args.extend(["--dataset".into(), dataset.clone()]);
        }
        args.extend(["--weight".into(), "a=3".into(), "--shard".into(), format!("{shard}/{PRODUCERS}")]);
        args.extend([
            "--num-chunks".into(),
            CHUNKS.to_string(),
            "--chunk-size".into(),
            CHUNK_SIZE.to_string(),
        ]);
        args.extend(["--spread".into(), "4".into(), "--run-length".into(), "8".into()]);
        args.extend(["--refill-at".into(), self.refill_at.into()]);
        args.extend(["--buffer".into(), self.buffer().display().to_string()]);
        args
    }

    fn start_producer(&self, shard: usize) -> Child {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("producers.log"));
        produce_command(self.producer_args(shard))
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("rdt-produce starts")
    }

    fn start_consumer(&self, number: usize) -> Child {
        let log =
            fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("consumers.log"));
        let (buffer, ids) = (self.buffer().display().to_string(), self.ids(number).display().to_string());
        let (batch, ahead) = (BATCH.to_string(), AHEAD.to_string());
        let mut args = vec!["bench", "--follow", "--stage", "frames", "--buffer", &buffer, "--ids", &ids];
        args.extend(["--batch-size", &batch, "--batches-ahead", &ahead, "--follow-window", "8", "--json"]);
        consume_command(args)
            .stdout(Stdio::null())
            .stderr(log.expect("a log"))
            .spawn()
            .expect("rdt-consume starts")
    }

    fn draw(&mut self, below: u64) -> u64 {
        self.random = self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.random >> 33) % below
    }

    fn lines(&self) -> u64 {
        let length = |consumer| fs::metadata(self.ids(consumer)).map_or(0, |data| data.len());
        (0..CONSUMERS).map(length).sum()
    }

    fn run(mut self, part: Duration, samples: u64) {
        let mut producers: Vec<Program> =
            (0..PRODUCERS).map(|at| Program::of(self.start_producer(at))).collect();
        while !self.buffer().join("manifest.json").exists() {
            std::thread::sleep(Duration::from_millis(20));
        }
        let mut consumers: Vec<Program> =
            (0..CONSUMERS).map(|at| Program::of(self.start_consumer(at))).collect();
        let checker = Checker::start(&self.buffer());
        let began = Instant::now();
        let (mut last, mut last_progress, mut longest) = (0, Instant::now(), Duration::ZERO);
        let mut next_kill = Instant::now() + Duration::from_secs(3);
        // However slow the machine is, it ends.
        while (began.elapsed() < part || checker.delivered() + self.lines() / 100 < samples)
            && began.elapsed() < 4 * part
        {
            std::thread::sleep(Duration::from_millis(20));
            let now = self.lines() + checker.delivered();
            let at_work = |programs: &[Program]| programs.iter().any(|one| one.started.elapsed() > STARTING);
            if now != last || !at_work(&producers) || !at_work(&consumers) {
                (last, last_progress) = (now, Instant::now());
            }
            longest = longest.max(last_progress.elapsed());
            if Instant::now() >= next_kill {
                let (kills_consumer, at) = (self.kills.consumers && self.draw(3) > 0, self.draw(4) as usize);
                if kills_consumer {
                    consumers[at].kill();
                    consumers[at].restart(self.start_consumer(at));
                } else {
                    producers[at % PRODUCERS].kill();
                    producers[at % PRODUCERS].restart(self.start_producer(at % PRODUCERS));
                }
                next_kill = Instant::now() + Duration::from_millis(200 + self.draw(2000));
            }
        }
        self.finish(producers, consumers, checker, longest);
    }

    fn finish(&self, producers: Vec<Program>, consumers: Vec<Program>, checker: Checker, longest: Duration) {
        let kills = |programs: &[Program]| programs.iter().map(|program| program.kills).sum::<u64>();
        let (producer_kills, consumer_kills) = (kills(&producers), kills(&consumers));
        for mut producer in producers {
            // One that was started a moment ago may not listen to signals yet.
            std::thread::sleep(STARTING.saturating_sub(producer.started.elapsed()));
            let pid = producer.child.id().to_string();
            run(command("kill", &["-s", "TERM", &pid])).expect(0);
            let status = producer.child.wait().expect("the producer's end");
            assert_eq!(status.code(), Some(0), "a producer: {}", self.log("producers.log"));
        }
        let mut places = checker.finish();
        // With no producer left, consumers end on their own once everything is consumed.
        for mut consumer in consumers {
            let status = consumer.child.wait().expect("the consumer's end");
            assert_eq!(status.code(), Some(0), "a consumer: {}", self.log("consumers.log"));
        }
        for consumer in 0..CONSUMERS {
            places.extend(self.places(consumer));
        }
        let delivered = places.len() as u64;
        let distinct: HashSet<Place> = places.iter().copied().collect();
        assert_eq!(distinct.len() as u64, delivered, "samples were delivered twice");

        // A last start cleans up, finds nothing consumed that it may refill in so short a time or
        // refills it, and ends.
        let at = self.buffer().display().to_string();
        let status: Value = produce(["status", &at, "--json"]).expect(0).json();
        let number = |key: &str| status[key].as_u64().unwrap_or_else(|| panic!("no {key} in {status}"));
        let (produced, lost, unread) = (number("produced"), number("lost"), number("unread"));
        eprintln!(
            "{delivered} delivered of {produced}, {lost} lost, {unread} unread; {producer_kills} producers and \
             {consumer_kills} consumers killed; longest gap {:.2} s",
            longest.as_secs_f64()
        );
        assert_eq!(number("in_flight"), 0, "{status}");
        assert_eq!(unread, 0, "{status}");
        assert_eq!(number("delivered") + lost, produced, "{status}");
        // A line is written before its sample is marked, so lines may be of samples counted as lost.
        assert!(
            (number("delivered")..=number("delivered") + lost).contains(&delivered),
            "{delivered}: {status}"
        );
        assert!(lost <= consumer_kills * (AHEAD + 1) * BATCH, "{lost} lost by {consumer_kills} kills");
        if consumer_kills == 0 {
            assert_eq!(delivered, produced, "{status}");
        }
        if self.refill_at == "1.0" && consumer_kills == 0 {
            // Nothing is carried then: every slot of every generation.
            let mut expected = 0;
            let buffer = Buffer::open(&self.buffer()).expect("a buffer");
            for id in buffer.published_chunks().expect("chunks") {
                let generation = buffer.chunk(id).expect("a chunk").header().generation;
                for generation in 1..=generation {
                    for slot in 0..CHUNK_SIZE {
                        assert!(distinct.contains(&(id.get(), generation, slot)), "{id} {generation} {slot}");
                    }
                }
                expected += generation * u64::from(CHUNK_SIZE);
            }
            assert_eq!(delivered, expected);
        }
        assert!(producer_kills > 0 && (consumer_kills > 0) == self.kills.consumers, "nobody was killed");
        assert!(longest <= LONGEST_GAP, "{longest:?} without a sample: {}", self.log("producers.log"));
        // The last processes were not killed, so nothing temporary is left; what killed ones left
        // was removed by those.
        for folder in ["tmp", "consumers", "status"] {
            let left: Vec<_> = fs::read_dir(self.buffer().join(folder)).expect("a folder").collect();
            let left: Vec<_> = left.into_iter().map(|entry| entry.expect("an entry").file_name()).collect();
            assert!(left.is_empty(), "{folder}: {left:?}");
        }
        buf(["verify", &at]).expect(0);
    }

    /// The lines of one consumer.
    fn places(&self, consumer: usize) -> Vec<Place> {
        let text = fs::read_to_string(self.ids(consumer)).expect("lines");
        let line = |line: &str| -> Place {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
            let number = |key: &str| line[key].as_u64().expect("a number");
            let episode = data::episode(
                line["source"].as_str().expect("text"),
                line["episode"].as_str().expect("text"),
            );
            assert!((number("step") as usize) < data::steps(episode), "{line}");
            (number("chunk") as u32, number("generation"), number("slot") as u32)
        };
        text.lines().map(line).collect()
    }

    fn log(&self, name: &str) -> String {
        let text = fs::read_to_string(self.folder.path().join(name)).unwrap_or_default();
        text[text.len().saturating_sub(3000)..].to_owned()
    }
}

impl Program {
    fn of(child: Child) -> Self {
        Self { child, started: Instant::now(), kills: 0 }
    }

    fn kill(&mut self) {
        if let Some(status) = self.child.try_wait().expect("the child's state") {
            panic!("a program ended by itself: {status}");
        }
        self.child.kill().expect("a signal");
        self.child.wait().expect("the child's end");
        self.kills += 1;
    }

    fn restart(&mut self, child: Child) {
        (self.child, self.started) = (child, Instant::now());
    }
}

fn command(program: &str, args: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(program);
    command.args(args);
    command
}

/// A consumer in this process, which looks at what it gets.
struct Checker {
    stop: Arc<AtomicBool>,
    delivered: Arc<AtomicU64>,
    thread: std::thread::JoinHandle<Vec<Place>>,
}

impl Checker {
    fn start(buffer: &Path) -> Self {
        let (stop, delivered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counted, buffer) = (Arc::clone(&stop), Arc::clone(&delivered), buffer.to_owned());
        let thread = std::thread::spawn(move || {
            let options = FollowerOptions { window: 8, seed: 9, stored_images: false };
            let mut follower = Follower::new(&buffer, options).expect("a follower");
            let mut decoder = FrameDecoder::new();
            let mut places = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                let Some(claimed) = follower.claim().expect("a listing") else {
                    std::thread::sleep(Duration::from_millis(5));
                    continue;
                };
                check(&claimed, &mut decoder);
                let at = claimed.generation();
                places.push((at.chunk.get(), at.generation, claimed.slot().get()));
                claimed.deliver();
                counted.fetch_add(1, Ordering::Relaxed);
                // The others are to have most.
                std::thread::sleep(Duration::from_millis(1));
            }
            places
        });
        Self { stop, delivered, thread }
    }

    fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    fn finish(self) -> Vec<Place> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("every sample is what its origin says")
    }
}

/// Holds a sample against its origin.
fn check(claimed: &Claimed, decoder: &mut FrameDecoder) {
    let view = claimed.view().expect("a whole chunk");
    let origin = &view.episode().origin;
    let (episode, step) = (data::episode(&origin.source, &origin.key), view.step() as usize);
    let mut state = vec![0.0; 128];
    view.write_state(&mut state).expect("room");
    assert_eq!((state[30] as usize, state[31] as usize), (episode, step), "{origin} step {step}");
    let mut pixels = Vec::new();
    for history in 0..2u8 {
        let frame = view.frame(CameraSlot::External, history).expect("a frame");
        decoder.decode(&frame, &mut pixels).expect("a whole frame");
        let shown = (step + usize::from(history)).saturating_sub(1);
        assert!(pixels.iter().all(|&byte| byte == data::level(episode, shown)), "{origin} step {step}");
    }
}
