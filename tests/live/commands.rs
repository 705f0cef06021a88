//! The commands of a live buffer: what they refuse, what they say, how they end.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::data;
use crate::support::{Run, buf, consume, consume_command, fill_libero, produce, produce_command, run};

/// A producer of a small live buffer, stopped when dropped.
struct Producer(Child);

impl Producer {
    fn start(dataset: &str, buffer: &Path, more: &[&str]) -> Self {
        let buffer_text = buffer.display().to_string();
        let mut args = vec!["--fill-up", "--follow", "--dataset", dataset, "--buffer", &buffer_text];
        args.extend(["--num-chunks", "4", "--chunk-size", "32", "--n-workers", "1"]);
        args.extend(more);
        let log = fs::File::create(buffer.with_extension("log")).expect("a log");
        let child = produce_command(args).stdout(Stdio::null()).stderr(log).spawn();
        let producer = Self(child.expect("rdt-produce starts"));
        wait_for(buffer, || buffer.join("status/producer-0-of-1.json").exists());
        producer
    }

    fn stop(mut self) -> Option<i32> {
        terminate(&self.0);
        self.0.wait().expect("the producer's end").code()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits for what the producer of `buffer` does.
fn wait_for(buffer: &Path, is_done: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_done() {
        assert!(began.elapsed() < Duration::from_secs(60), "{}", said(buffer));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn said(buffer: &Path) -> String {
    fs::read_to_string(buffer.with_extension("log")).unwrap_or_default()
}

fn terminate(child: &Child) {
    let mut kill = Command::new("kill");
    kill.args(["-s", "TERM", &child.id().to_string()]);
    run(kill).expect(0);
}

fn bench(buffer: &Path, more: &[&str]) -> Vec<String> {
    let mut args = vec!["bench".to_owned(), "--buffer".into(), buffer.display().to_string()];
    args.extend(["--follow", "--stage", "frames", "--batch-size", "8", "--json"].map(String::from));
    args.extend(more.iter().map(|arg| (*arg).to_owned()));
    args
}

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).expect("lines");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[test]
fn a_filled_buffer_is_consumed_once_until_its_bits_are_reset() {
    let folder = tempfile::tempdir().expect("a folder");
    let (buffer, ids) = (folder.path().join("buffer"), folder.path().join("ids"));
    fill_libero(&buffer, &["--chunk-size", "50"]).expect(0);
    let ids_text = ids.display().to_string();
    let part = consume(bench(&buffer, &["--samples", "70", "--ids", &ids_text])).expect(0).json();
    assert_eq!((part["samples"].as_u64(), part["end"].as_str()), (Some(70), Some("enough")));
    let at = buffer.display().to_string();
    let stat = buf(["stat", &at, "--json"]).expect(0).json();
    assert_eq!((stat["clean"].as_u64(), stat["dirty"].as_u64()), (Some(98), Some(70)));
    // What a killed consumer left of a line is cut off.
    fs::OpenOptions::new()
        .append(true)
        .open(&ids)
        .expect("ids")
        .write_all(b"{\"chunk\": 1")
        .expect("written");
    let rest = consume(bench(&buffer, &["--ids", &ids_text])).expect(0);
    rest.says(&["everything is consumed and no producer works on"]);
    let lines = lines(&ids);
    assert_eq!(lines.len(), 168);
    let keys: Vec<&String> = lines[0].as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["chunk", "generation", "slot", "dataset", "source", "episode", "step"]);
    let mut distinct: Vec<String> =
        lines.iter().map(|line| format!("{} {} {}", line["source"], line["episode"], line["step"])).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 168, "a step came twice");
    // Nothing is left; the static order does not care.
    assert_eq!(consume(bench(&buffer, &[])).expect(0).json()["samples"].as_u64(), Some(0));
    consume(["bench", "--buffer", &at, "--stage", "frames"]).expect(0);
    produce(["--clean-dirty", "--buffer", &at]).expect(0).says(&["168 consumed samples"]);
    assert_eq!(consume(bench(&buffer, &[])).expect(0).json()["samples"].as_u64(), Some(168));
}

#[test]
fn a_live_buffer_is_refilled_watched_and_left_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = data::write(folder.path(), "a", 2);
    let buffer = folder.path().join("buffer");
    let at = buffer.display().to_string();
    let producer = Producer::start(&dataset, &buffer, &["--metrics", "127.0.0.1:0"]);

    let report = consume(bench(&buffer, &["--samples", "1000"])).expect(0).json();
    assert_eq!((report["samples"].as_u64(), report["end"].as_str()), (Some(1000), Some("enough")));
    let status: Value = produce(["status", &at, "--json"]).expect(0).json();
    assert_eq!(status["delivered"].as_u64(), Some(1000), "{status}");
    assert_eq!(status["producers"][0]["pid"].as_str(), Some(producer.0.id().to_string().as_str()));
    assert_eq!(status["consumers"].as_array().map(Vec::len), Some(0));
    let text = produce(["status", &at]).expect(0).stdout;
    assert!(text.contains("1000 delivered") && text.contains("worker 0:"), "{text}");
    buf(["stat", &at]).expect(0);

    // Others are refused.
    let pid = producer.0.id().to_string();
    let again = produce(["--follow", "--dataset", &dataset, "--buffer", &at, "--chunk-size", "32"]);
    again.expect(1).says(&["is being produced by process", &pid]);
    consume(["bench", "--buffer", &at, "--stage", "frames"]).expect(1).says(&[
        "is being refilled",
        &pid,
        "--follow",
    ]);
    produce(["--clean-dirty", "--buffer", &at]).expect(1).says(&[&pid]);

    // A line a second, until nobody reads.
    let mut watch = Command::new(env!("CARGO_BIN_EXE_rdt-buf"))
        .args(["stat", &at, "--watch", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("rdt-buf starts");
    let mut first = [0; 64];
    watch.stdout.take().expect("a pipe").read_exact(&mut first).expect("a line");
    assert!(first.starts_with(b"{\"seconds\":"), "{}", String::from_utf8_lossy(&first));
    assert!(watch.wait().expect("its end").success());

    // A consumer that is stopped gives back what it has; one that waits does so without a core.
    let idle =
        consume_command(bench(&buffer, &["--wait"])).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
    let idle = idle.expect("rdt-consume starts");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(producer.stop(), Some(0));
    // Everything is consumed soon after; from then on it only waits.
    std::thread::sleep(Duration::from_secs(1));
    let (cpu, waited) = (cpu_ms(&idle), Duration::from_secs(4));
    std::thread::sleep(waited);
    let burnt = cpu_ms(&idle) - cpu;
    assert!(burnt <= 0.01 * waited.as_secs_f64() * 1e3 + 10.0, "{burnt} ms of CPU while waiting");
    terminate(&idle);
    let ended = Run::from(idle.wait_with_output().expect("its end")).expect(0).json();
    assert_eq!(ended["end"].as_str(), Some("stopped"));
    let status: Value = produce(["status", &at, "--json"]).expect(0).json();
    assert_eq!((status["in_flight"].as_u64(), status["lost"].as_u64()), (Some(0), Some(0)), "{status}");
    assert_eq!(status["produced"], status["delivered"], "{status}");
    // Without a producer it has a static order again.
    consume(["bench", "--buffer", &at, "--stage", "frames"]).expect(0);
}

/// User and system milliseconds of a process, to the 10 ms that the system counts in.
fn cpu_ms(child: &Child) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).expect("Linux tells");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().expect("ticks");
    10.0 * (ticks(11) + ticks(12))
}

#[test]
fn metrics_are_served_on_a_port() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = data::write(folder.path(), "a", 1);
    let buffer = folder.path().join("buffer");
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|at| at.local_addr()).expect("a port");
    let producer = Producer::start(&dataset, &buffer, &["--metrics", &free.to_string()]);
    consume(bench(&buffer, &["--samples", "200"])).expect(0);
    let ask = |path: &str| {
        let mut stream = TcpStream::connect(free).expect("a connection");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    let answer = ask("/metrics");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for metric in [
        "rdt_samples_delivered_total 200\n",
        "rdt_samples_produced_total ",
        "rdt_dirty_share ",
        "rdt_producer_wait_seconds_total ",
        "rdt_consumer_wait_seconds ",
        "rdt_producer_skipped 0\n",
        "rdt_samples_lost_total 0\n",
    ] {
        assert!(answer.contains(metric), "no `{metric}` in {answer}");
    }
    assert!(ask("/else").starts_with("HTTP/1.1 404"));
    assert_eq!(producer.stop(), Some(0));
}

#[test]
fn wrong_usage_of_following_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let dataset = data::write(folder.path(), "a", 1);
    let buffer = folder.path().join("buffer");
    let at = buffer.display().to_string();
    let follow = |more: &[&str]| {
        let mut args = vec!["--follow", "--dataset", &dataset, "--buffer", &at, "--chunk-size", "32"];
        args.extend(more);
        produce(args)
    };
    follow(&[]).expect(2).says(&["there is no buffer yet", "--fill-up"]);
    follow(&["--fill-up", "--refill-at", "0"]).expect(2).says(&["--refill-at is 0"]);
    follow(&["--fill-up", "--shard", "2/2"]).expect(2).says(&["I below N"]);
    follow(&["--fill-up", "--weight", "b=1"]).expect(2).says(&["there is no data set b"]);
    follow(&["--fill-up", "--weight", "a=0"]).expect(2).says(&["the weights of the data sets"]);
    follow(&["--fill-up", "--sampling", "random"]).expect(2).says(&["--sampling is random"]);
    produce(["--clean-dirty", "--buffer", &at]).expect(1).says(&["is not a buffer"]);
    produce(["status", &at]).expect(1).says(&["is not a buffer"]);
    assert!(!buffer.exists());
    let dry = follow(&["--fill-up", "--num-chunks", "2", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((dry["dry_run"].as_bool(), buffer.exists()), (Some(true), false));
}

/// Needs the right to mount; says so and passes where that is missing.
#[test]
fn read_only_media_have_a_static_order_and_cannot_be_followed() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("media");
    fs::create_dir(&place).expect("a folder");
    let at = place.display().to_string();
    let mount = |args: &[&str]| {
        let mut command = Command::new("mount");
        command.args(args);
        run(command)
    };
    let mounted = mount(&["-t", "tmpfs", "-o", "size=64m", "tmpfs", &at]);
    if mounted.code != Some(0) {
        eprintln!("not tested: cannot mount a small tmpfs: {}", mounted.stderr.trim());
        return;
    }
    let dataset = data::write(folder.path(), "a", 1);
    let buffer = place.join("buffer");
    let producer = Producer::start(&dataset, &buffer, &[]);
    consume(bench(&buffer, &["--samples", "300"])).expect(0);
    assert_eq!(producer.stop(), Some(0));
    let read_only = mount(&["-o", "remount,ro", &at]);
    let buffer_text = buffer.display().to_string();
    let followed = consume(bench(&buffer, &[]));
    let in_order = consume(["bench", "--buffer", &buffer_text, "--stage", "frames"]);
    let seen = buf(["stat", &buffer_text]);
    let mut umount = Command::new("umount");
    umount.arg(&at);
    run(umount).expect(0);
    read_only.expect(0);
    followed.expect(1).says(&["cannot follow", "leave out --follow"]);
    in_order.expect(0);
    seen.expect(0);
}

/// A buffer of the sample episodes for the small configuration, and a training that follows it.
struct Training {
    folder: tempfile::TempDir,
    buffer: PathBuf,
    libero: String,
    tiny: String,
}

impl Training {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let buffer = folder.path().join("buffer");
        let libero = format!("libero={}", crate::support::sample_data().join("libero").display());
        let tiny = crate::support::root().join("configs/tiny.yaml").display().to_string();
        Self { folder, buffer, libero, tiny }
    }

    fn producer(&self) -> Producer {
        Producer::start(&self.libero, &self.buffer, &["--config", &self.tiny])
    }

    /// Trains to step `steps` in batches of four.
    fn train(&self, steps: &str, more: &[&str]) -> Run {
        let (at, out) = (self.buffer.display().to_string(), self.folder.path().join("run"));
        let out = out.display().to_string();
        let mut args = vec!["--buffer", &at, "--output-dir", &out, "--config", &self.tiny, "--follow"];
        args.extend(["--train-batch-size", "4", "--max-train-steps", steps, "--device", "cpu"]);
        args.extend(more);
        consume(args)
    }

    fn embed_images(&self) {
        let at = self.buffer.display().to_string();
        consume(["embed", "--buffer", &at, "--images", "--device", "cpu"]).expect(0);
    }

    /// Files of stored embeddings, in order.
    fn stored_images(&self) -> Vec<PathBuf> {
        let folder = fs::read_dir(self.buffer.join("embeddings/images")).expect("a folder");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        files
    }

    fn status(&self) -> Value {
        produce(["status", &self.buffer.display().to_string(), "--json"]).expect(0).json()
    }
}

#[test]
fn training_follows_a_live_buffer_and_resumes() {
    let training = Training::new();
    let producer = training.producer();
    training.train("5", &[]).expect(0);
    let again = training.train("8", &["--resume-from-checkpoint", "latest"]).expect(0);
    assert!(again.stdout.contains("steps 8"), "{}", again.stdout);
    assert_eq!(producer.stop(), Some(0));
    // Eight batches of four, each sample once, nothing of the batches ahead lost.
    let status = training.status();
    assert_eq!((status["delivered"].as_u64(), status["lost"].as_u64()), (Some(32), Some(0)), "{status}");
    let (at, out) = (training.buffer.display().to_string(), training.folder.path().join("run"));
    consume(["--buffer", &at, "--output-dir", &out.display().to_string(), "--follow"])
        .expect(2)
        .says(&["--max-train-steps"]);
    // The end of the data ends the run with a checkpoint.
    let more = ["--resume-from-checkpoint", "latest", "--gradient-accumulation-steps", "3"];
    let short = training.train("1000", &more).expect(1);
    short.says(&["everything is consumed", "--resume-from-checkpoint latest"]);
    // Of the step that the end broke off, nothing was used, and nothing counts as delivered.
    let status = training.status();
    let (delivered, unread) = (status["delivered"].as_u64(), status["unread"].as_u64());
    let (Some(delivered), Some(unread)) = (delivered, unread) else { panic!("{status}") };
    assert!(delivered > 32 && (delivered - 32).is_multiple_of(3 * 4), "{status}");
    assert_eq!(
        (Some(delivered + unread), status["lost"].as_u64()),
        (status["produced"].as_u64(), Some(0)),
        "{status}"
    );
}

#[test]
fn held_out_episodes_of_a_live_buffer_are_consumed_and_not_trained_on() {
    let training = Training::new();
    let producer = training.producer();
    training.train("12", &["--holdout", "0.5", "--sample-period", "6"]).expect(0);
    assert_eq!(producer.stop(), Some(0));
    let status = training.status();
    let delivered = status["delivered"].as_u64().expect("a number");
    assert!(delivered > 12 * 4, "none of a held-out episode was consumed: {status}");
    assert_eq!(status["lost"].as_u64(), Some(0), "{status}");
    let windowed = ["--holdout", "0.5", "--order", "windowed"];
    training.train("20", &windowed).expect(2).says(&["--order is windowed with --follow"]);
}

#[test]
fn a_buffer_is_followed_with_stored_images() {
    let training = Training::new();
    crate::support::fill_libero(&training.buffer, &["--config", &training.tiny]).expect(0);
    let train = || training.train("3", &["--precomp-img-embed"]);
    train().expect(2).says(&["--precomp-img-embed", "rdt-consume embed --images"]);
    training.embed_images();
    let run = train().expect(0);
    assert!(run.stdout.contains("steps 3"), "{}", run.stdout);
}

#[test]
fn chunks_of_a_live_buffer_without_stored_images_are_named_and_left_for_later() {
    let training = Training::new();
    let producer = training.producer();
    wait_for(&training.buffer, || {
        fs::read_dir(training.buffer.join("chunks")).map_or(0, Iterator::count) >= 3
    });
    assert_eq!(producer.stop(), Some(0));
    training.embed_images();
    let (stored, away) = (training.stored_images(), training.folder.path().join("away.emb"));
    fs::rename(&stored[1], &away).expect("a file to move");
    let train = |steps, more: &[&str]| training.train(steps, &[&["--precomp-img-embed"], more].concat());
    train("1000", &[]).expect(1).says(&["no embeddings", "everything is consumed"]);
    let left = training.status();
    assert!(left["unread"].as_u64() > Some(0), "{left}");
    // Embedded later, it is read.
    fs::rename(&away, &stored[1]).expect("a file to move");
    train("2000", &["--resume-from-checkpoint", "latest"]).expect(1).says(&["everything is consumed"]);
    let all = training.status();
    assert_eq!((all["unread"].as_u64(), all["lost"].as_u64()), (Some(0), Some(0)), "{all}");
}

#[test]
fn stored_images_of_a_replaced_generation_stay_while_its_samples_are_out() {
    let training = Training::new();
    crate::support::fill_libero(&training.buffer, &["--config", &training.tiny]).expect(0);
    training.embed_images();
    let current = training.stored_images();
    let name = current[0].file_stem().and_then(|name| name.to_str()).expect("a name");
    let (chunk, _) = name.split_once('-').expect("chunk and generation");
    let [gone, out] =
        [98, 99].map(|generation| current[0].with_file_name(format!("{chunk}-{generation}.emb")));
    for old in [&gone, &out] {
        fs::copy(&current[0], old).expect("a copy");
    }
    let retired = training.buffer.join("retired");
    fs::create_dir_all(&retired).expect("a folder");
    fs::write(retired.join(format!("{chunk}-99.chunk")), "").expect("a file");
    training.embed_images();
    assert_eq!((gone.exists(), out.exists(), current[0].exists()), (false, true, true));
}
