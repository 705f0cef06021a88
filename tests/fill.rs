//! A fill by the real program: killed at any time, stopped by signals, on a full device, by two
//! at once. Whatever happens, the next run ends with the same bytes as an unbroken one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdt_buffer::Buffer;

use crate::support::{Run, buf, fill_libero, produce, produce_command, run, sample_data};

/// Several copies of the sample episodes, so that a fill takes long enough to be killed.
fn data_set(folder: &Path, copies: usize) -> PathBuf {
    let data = folder.join("data");
    let source = fs::read_dir(sample_data().join("libero"))
        .expect("the sample episodes")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|extension| extension == "hdf5"))
        .expect("an HDF5 file");
    for copy in 0..copies {
        let folder = data.join(format!("{copy:02}"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::copy(&source, folder.join("demo.hdf5")).expect("a copy");
    }
    data
}

fn args(data: &Path, buffer: &Path) -> Vec<String> {
    let (data, buffer) = (format!("libero={}", data.display()), buffer.display().to_string());
    ["--fill-up", "--dataset", &data, "--buffer", &buffer, "--chunk-size", "24", "--n-workers", "2"]
        .map(String::from)
        .into()
}

fn start(args: &[String]) -> Child {
    produce_command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("rdt-produce starts")
}

/// Chunk and bit files by name.
fn files(buffer: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for folder in ["chunks", "bits"] {
        for entry in fs::read_dir(buffer.join(folder)).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            files.insert(name, fs::read(&path).expect("a readable file"));
        }
    }
    files
}

/// Every published chunk is whole, and has its bits.
fn check_published(buffer: &Path) -> usize {
    let Ok(opened) = Buffer::open(buffer) else { return 0 };
    let published = opened.published_chunks().expect("a folder of chunks");
    for &id in &published {
        opened.chunk(id).expect("a whole chunk").verify().expect("a whole chunk");
        opened.bits_of(id).expect("bits beside the chunk");
    }
    published.len()
}

#[test]
fn killed_at_random_times_a_fill_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_set(folder.path(), 6);
    let args = |buffer: &Path, spread: bool| {
        let more: &[&str] = if spread { &["--spread", "9", "--run-length", "7"] } else { &[] };
        [args(&data, buffer), more.iter().map(ToString::to_string).collect()].concat()
    };
    let mut whole_ms = 0;
    let [expected, spread] = [false, true].map(|spread| {
        let unbroken = folder.path().join(format!("unbroken-{spread}"));
        let began = Instant::now();
        produce(args(&unbroken, spread)).expect(0);
        whole_ms = began.elapsed().as_millis() as u64;
        files(&unbroken)
    });
    assert!(expected.len() > 60, "{} files", expected.len());
    assert!(expected.keys().eq(spread.keys()) && expected != spread);
    let (mut kills, mut kills_between) = (0, 0);
    for round in 0..12u64 {
        let buffer = folder.path().join(format!("killed{round}"));
        let (args, expected) =
            (args(&buffer, round % 3 == 2), if round % 3 == 2 { &spread } else { &expected });
        for attempt in 0..4 {
            // Spread over the whole fill, and different in each round and attempt.
            let after = whole_ms * ((round * 7 + attempt * 5) % 12) / 12;
            let mut child = start(&args);
            std::thread::sleep(Duration::from_millis(after));
            let over = child.try_wait().expect("the child's state").is_some();
            child.kill().expect("a signal");
            child.wait().expect("the child's end");
            let published = check_published(&buffer);
            kills += usize::from(!over);
            kills_between += usize::from(published > 0 && published < expected.len() / 2);
            if over {
                break;
            }
        }
        produce(&args).expect(0);
        assert!(files(&buffer) == *expected, "round {round}: other bytes");
        let left = fs::read_dir(buffer.join("tmp")).expect("a folder").count();
        assert_eq!(left, 0, "round {round}: temporary files are left");
        fs::remove_dir_all(&buffer).expect("removed");
    }
    // How many depends on the machine; without any the test would show nothing.
    assert!(kills >= 4 && kills_between > 0, "{kills} kills, {kills_between} in the middle");
}

#[test]
fn a_reader_that_left_is_no_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = args(&data_set(folder.path(), 1), &folder.path().join("buffer"));
    for _ in ["filled", "already complete"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let status = produce_command(&args).stdout(writer).stderr(Stdio::null()).status();
        assert_eq!(status.expect("rdt-produce runs").code(), Some(0));
    }
}

#[test]
fn a_signal_leaves_a_buffer_that_continues() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_set(folder.path(), 8);
    for signal in ["INT", "TERM"] {
        let buffer = folder.path().join(signal);
        let mut command = produce_command(args(&data, &buffer));
        let child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("rdt-produce starts");
        let began = Instant::now();
        while check_published(&buffer) == 0 && began.elapsed().as_secs() < 60 {
            std::thread::sleep(Duration::from_millis(2));
        }
        let pid = child.id().to_string();
        run(into_command("kill", &["-s", signal, &pid])).expect(0);
        let asked = Instant::now();
        let ended = Run::from(child.wait_with_output().expect("the program's end"));
        if ended.code != Some(0) {
            ended.expect(1).says(&["interrupted with", "the same command continues"]);
        }
        assert!(asked.elapsed().as_secs_f64() < 2.0, "{:?}", asked.elapsed());
        check_published(&buffer);
        produce(args(&data, &buffer)).expect(0);
    }
    assert!(files(&folder.path().join("INT")) == files(&folder.path().join("TERM")));
}

fn into_command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
}

#[test]
fn the_report_has_the_promised_keys_and_a_second_run_does_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("new/buffer");
    let report = fill_libero(&buffer, &["--json", "--chunk-size", "50"]).expect(0).json();
    assert_eq!((report["samples"].as_u64(), report["chunks"].as_u64()), (Some(168), Some(4)));
    for key in ["episodes", "bytes", "bytes_per_sample", "seconds", "cpu_ms_per_sample"] {
        assert!(report[key].as_f64().is_some_and(|value| value > 0.0), "{key}: {}", report[key]);
    }
    for key in ["skipped", "filtered"] {
        assert!(report[key].as_array().is_some_and(Vec::is_empty), "{key}: {}", report[key]);
    }
    let again = fill_libero(&buffer, &["--chunk-size", "50"]).expect(0);
    assert!(again.stdout.contains("already complete"), "{}", again.stdout);
    fill_libero(&buffer, &["--chunk-size", "51"]).expect(2).says(&["--chunk-size was 50, is now 51"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    let report = fill_libero(&buffer, &["--json", "--dry_run"]).expect(0).json();
    assert_eq!((report["samples"].as_u64(), report["dry_run"].as_bool()), (Some(168), Some(true)));
    assert!(!buffer.exists());
}

#[test]
fn wrong_usage_is_code_2_and_names_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    let at = buffer.display().to_string();
    produce(["--dataset", "libero=/x", "--buffer", &at]).expect(2).says(&["--fill-up"]);
    produce(["--fill-up", "--buffer", &at]).expect(2).says(&["--dataset NAME[:CARD]=PATH"]);
    produce(["--fill-up", "--dataset", "libero", "--buffer", &at]).expect(2).says(&["libero=/data"]);
    let absent = "libero=/does/not/exist";
    produce(["--fill-up", "--dataset", absent, "--buffer", &at]).expect(2).says(&["/does/not/exist"]);
    let robot = format!("robot={}", folder.path().display());
    produce(["--fill-up", "--dataset", &robot, "--buffer", &at]).expect(2).says(&["robot", "agilex"]);
    fill_libero(&buffer, &["--num-chunks", "1", "--chunk-size", "100"]).expect(2).says(&["--follow"]);
    fill_libero(&buffer, &["--image-codec", "gif"]).expect(2);
    assert!(!buffer.exists());
    let help = produce(["--help"]).expect(0).stdout;
    assert!(help.contains("Examples:") && help.contains("--follow"), "{help}");
    fs::create_dir(&buffer).expect("a folder");
    fs::write(buffer.join("photo.png"), "").expect("a file");
    fill_libero(&buffer, &[]).expect(2).says(&["is not a buffer", "photo.png"]);
}

#[test]
fn a_bad_file_beside_good_ones_is_code_3_and_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = data_set(folder.path(), 1);
    fs::write(data.join("broken.hdf5"), "this is no HDF5").expect("a file");
    let buffer = folder.path().join("buffer");
    produce(args(&data, &buffer)).expect(3).says(&["skipped", "broken.hdf5"]);
    // Complete, and still not as it should be.
    produce(args(&data, &buffer)).expect(3).says(&["broken.hdf5"]);
    assert_eq!(check_published(&buffer), 7);
}

#[test]
fn two_producers_cannot_write_one_buffer() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    let lock = rdt_buffer::ProducerLock::acquire(&buffer).expect("the lock");
    let pid = std::process::id().to_string();
    fill_libero(&buffer, &[]).expect(1).says(&["is being produced by process", &pid]);
    drop(lock);
    fill_libero(&buffer, &[]).expect(0);
}

/// Needs the right to mount; says so and passes where that is missing.
#[test]
fn a_full_device_keeps_what_is_published_and_names_the_remedy() {
    let folder = tempfile::tempdir().expect("a folder");
    let small = folder.path().join("small");
    fs::create_dir(&small).expect("a folder");
    let at = small.display().to_string();
    let mounted = run(into_command("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", &at]));
    if mounted.code != Some(0) {
        eprintln!("not tested: cannot mount a small tmpfs: {}", mounted.stderr.trim());
        return;
    }
    let buffer = small.join("buffer");
    let full = fill_libero(&buffer, &["--chunk-size", "24"]);
    let published = check_published(&buffer);
    let enlarged = run(into_command("mount", &["-o", "remount,size=64m", &at]));
    let after = fill_libero(&buffer, &["--chunk-size", "24"]);
    let chunks = check_published(&buffer);
    run(into_command("umount", &[&at])).expect(0);
    full.expect(1).says(&["No space left on device", "make room", &at]);
    enlarged.expect(0);
    after.expect(0);
    assert!((1..7).contains(&published), "{published}");
    assert_eq!(chunks, 7);
}

#[test]
fn a_damaged_manifest_and_another_version_are_told_apart() {
    let folder = tempfile::tempdir().expect("a folder");
    let buffer = folder.path().join("buffer");
    fill_libero(&buffer, &[]).expect(0);
    let manifest = buffer.join("manifest.json");
    let text = fs::read_to_string(&manifest).expect("a manifest");
    fs::write(&manifest, text.replace("\"format_version\": 1", "\"format_version\": 9")).expect("written");
    fill_libero(&buffer, &[]).expect(2).says(&["format version 9, expected 1"]);
    buf([std::ffi::OsStr::new("stat"), buffer.as_os_str()]).says(&["format version 9, expected 1"]);
    fs::write(&manifest, text.replace("\"samples\": 168", "\"samples\": 167")).expect("written");
    fill_libero(&buffer, &[]).expect(1).says(&["is damaged", "crc32c"]);
}
