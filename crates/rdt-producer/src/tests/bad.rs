//! Bad files and episodes: skipped and named, while everything else is kept.

use std::fs;
use std::io::{Seek, SeekFrom, Write};

use rdt_buffer::Manifest;

use super::make::{self, Place, Result};
use crate::*;

/// Overwrites the compressed bytes of one frame; nothing but reading the frame shows it.
fn corrupt_frame(place: &Place, file: &str, episode: &str, frame: usize) -> Result {
    let path = place.path("data").join(file);
    let (at, bytes) = {
        let hdf5 = hdf5::File::open(&path)?;
        let rgb = hdf5.dataset(&format!("data/{episode}/rgb"))?;
        let chunk = rgb.chunk_info(frame).ok_or("no such frame")?;
        (chunk.addr, chunk.size)
    };
    let mut file = fs::OpenOptions::new().write(true).open(&path)?;
    file.seek(SeekFrom::Start(at))?;
    file.write_all(&vec![0xff; bytes as usize])?;
    Ok(())
}

#[test]
fn an_episode_found_bad_while_writing_leaves_the_plan() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20, 30, 17])?;
    place.episodes("b.hdf5", &[25])?;
    corrupt_frame(&place, "a.hdf5", "demo_1", 9)?;
    for workers in [1, 3] {
        let dir = place.path(&format!("buffer{workers}"));
        let options = place.options(8, workers)?;
        let report = make::fill_quietly(&options, &dir)?;
        assert_eq!(report.skipped.len(), 1, "{:?}", report.skipped);
        let skipped = &report.skipped[0];
        assert_eq!((skipped.source.as_str(), skipped.episode.rsplit('/').next()), ("a.hdf5", Some("demo_1")));
        assert!(skipped.reason.contains("rgb"), "{}", skipped.reason);
        assert_eq!((report.samples, report.episodes), (62, 3));
        assert!(make::samples_of(&dir)?.iter().all(|(_, key, _)| !key.ends_with("demo_1")));
        let manifest = Manifest::read(&dir)?;
        assert_eq!(manifest.found_while_writing, report.skipped);
        // Statistics are over the accepted episodes only: their largest value is in b.hdf5.
        let largest = manifest.datasets[0].statistics.state_max[30];
        assert!((largest - 72.0 * 7.0 * 0.01).abs() < 1e-9, "{largest}");
        let again = make::fill_quietly(&options, &dir)?;
        assert!(again.already_complete && again.skipped == report.skipped);
        // A lost chunk is written again by the same plan.
        let files = make::files_of(&dir)?;
        fs::remove_file(dir.join("chunks/00000005.chunk"))?;
        assert_eq!(make::fill_quietly(&options, &dir)?.written_chunks, 1);
        assert!(make::files_of(&dir)? == files);
    }
    let [one, three] = [1, 3].map(|workers| make::files_of(&place.path(&format!("buffer{workers}"))));
    assert!(one? == three?);
    Ok(())
}

#[test]
fn bad_files_are_skipped_by_name_and_a_data_set_of_them_is_an_error() -> Result {
    let place = Place::new()?;
    fs::write(place.path("data/text.hdf5"), "not HDF5")?;
    let options = place.options(8, 2)?;
    let error = make::fill_quietly(&options, &place.path("buffer")).unwrap_err();
    assert!(matches!(&error, ProducerError::NoEpisodes { .. }) && !error.is_usage());
    let text = error.to_string();
    assert!(text.contains("toy") && text.contains("text.hdf5") && text.contains("1 skipped"), "{text}");
    assert!(!place.path("buffer").exists(), "nothing came of it");

    place.episodes("good.hdf5", &[12])?;
    let whole = fs::read(place.path("data/good.hdf5"))?;
    fs::write(place.path("data/cut.hdf5"), &whole[..whole.len() / 2])?;
    let hdf5 = hdf5::File::create(place.path("data/nothing.hdf5"))?;
    hdf5.create_group("data")?;
    drop(hdf5);
    let named = std::sync::Mutex::new(Vec::new());
    let report = fill(&options, &place.path("buffer"), &StopFlag::default(), &|event| {
        if let Event::Skipped(omission) = event {
            named.lock().expect("no panic").push(omission.source.clone());
        }
    })?;
    assert_eq!(report.samples, 12);
    assert_eq!(named.into_inner()?, ["cut.hdf5", "nothing.hdf5", "text.hdf5"]);
    assert_eq!(report.skipped.len(), 3);
    Ok(())
}

#[test]
fn wrong_lists_of_data_sets_are_refused() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[12])?;
    fs::create_dir(place.path("data/inner"))?;
    let card = place.path("card.yaml").display().to_string();
    let refused = |datasets: &[(&str, &str)], word: &str| -> Result {
        let mut options = place.options(8, 1)?;
        options.datasets.clear();
        for (name, path) in datasets {
            let path = place.path(path).display().to_string();
            options.datasets.push(DatasetSpec::parse(&format!("{name}:{card}={path}"))?);
        }
        let error = make::fill_quietly(&options, &place.path("buffer")).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(word), "{error}");
        Ok(())
    };
    refused(&[], "at least one data set")?;
    refused(&[("a", "absent")], "absent")?;
    refused(&[("a", "data"), ("a", "data")], "the name a twice")?;
    refused(&[("a", "data"), ("b", "data")], "shares files with data set a")?;
    refused(&[("a", "data"), ("b", "data/inner")], "shares files with data set a")?;
    for text in ["libero", "=x", "a=", ":b=c", "a:=c"] {
        assert!(DatasetSpec::parse(text).unwrap_err().is_usage(), "{text}");
    }
    assert_eq!(DatasetSpec::parse("a:b=/x=y")?.path, std::path::Path::new("/x=y"));
    Ok(())
}

#[test]
fn a_file_with_several_names_counts_once_a_name_and_is_told() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20])?;
    std::os::unix::fs::symlink(place.path("data/a.hdf5"), place.path("data/b.hdf5"))?;
    fs::hard_link(place.path("data/a.hdf5"), place.path("data/c.hdf5"))?;
    let told = std::sync::Mutex::new(Vec::new());
    let watch = |event: Event<'_>| {
        if let Event::SeveralNames { file, first, more, .. } = event {
            told.lock().unwrap().push((file.to_owned(), first.to_owned(), more));
        }
    };
    let report = fill(&place.options(8, 1)?, &place.path("buffer"), &StopFlag::default(), &watch)?;
    assert_eq!((report.samples, report.episodes, report.filtered.len()), (60, 3, 0));
    assert_eq!(told.into_inner().unwrap(), [("b.hdf5".into(), "a.hdf5".into(), 1)]);
    Ok(())
}

#[test]
fn checking_frames_finds_what_only_decoding_shows() -> Result {
    let place = Place::new()?;
    place.episodes("a.hdf5", &[20, 30, 17])?;
    corrupt_frame(&place, "a.hdf5", "demo_1", 9)?;
    let mut options = place.options(8, 2)?;
    let unchecked = predict(&options, &StopFlag::default(), &|_| {})?;
    assert_eq!(unchecked.skipped.len(), 0, "the scan reads frames without being asked");
    options.check_frames = true;
    let checked = predict(&options, &StopFlag::default(), &|_| {})?;
    assert_eq!((checked.skipped.len(), checked.samples), (1, 37), "{:?}", checked.skipped);
    assert!(checked.skipped[0].episode.ends_with("demo_1"));
    Ok(())
}

#[test]
fn reasons_that_agree_are_given_once_with_their_number() -> Result {
    let place = Place::new()?;
    for file in ["a.hdf5", "b.hdf5", "c.hdf5"] {
        fs::write(place.path("data").join(file), "not HDF5")?;
    }
    let text = make::fill_quietly(&place.options(8, 1)?, &place.path("buffer")).unwrap_err().to_string();
    assert!(text.contains("a.hdf5") && text.contains("the same of 2 more"), "{text}");
    assert!(!text.contains("b.hdf5") && !text.contains("c.hdf5"), "{text}");
    Ok(())
}
