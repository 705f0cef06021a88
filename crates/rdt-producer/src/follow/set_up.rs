//! Whether a buffer can be refilled, and the manifest that makes it a live one.

use std::path::Path;

use rdt_buffer::live::producers_alive;
use rdt_buffer::{BufferState, LiveSettings, Manifest};
use rdt_schema::Setting;

use crate::error::ProducerError;
use crate::follow::FollowOptions;
use crate::plan::Plan;
use crate::resume::manifest_of;
use crate::sources::Sources;

/// Refuses what can be refused before the sources are read.
pub(super) fn check_buffer(
    dir: &Path,
    options: &FollowOptions,
    sources: &Sources,
) -> Result<(), ProducerError> {
    match Manifest::read_if_any(dir)? {
        Some(former) => check(dir, &former, options, sources),
        None => Ok(()),
    }
}

/// The manifest to write; none where the one that is there says the same.
pub(super) fn decide(
    former: Option<Manifest>,
    options: &FollowOptions,
    sources: &Sources,
    plan: &Plan,
    dir: &Path,
) -> Result<Option<Manifest>, ProducerError> {
    let started = former.as_ref().map_or_else(crate::fill::now_unix_ms, |former| former.started_unix_ms);
    let mut manifest = manifest_of(&options.options, sources, plan, Vec::new(), started);
    let chunk_size = u64::from(manifest.chunk_size);
    let there = former.as_ref().map(|former| former.chunk_count());
    let chunks = match (options.options.num_chunks, there) {
        (Some(chunks), _) => u64::from(chunks),
        (None, Some(there)) => there,
        (None, None) => u64::from(options.options.config.dataset.buf_num_chunks),
    };
    manifest.state = BufferState::Live;
    manifest.samples = match &former {
        // What a fill left may end with a chunk that is not full.
        Some(former) if former.chunk_count() == chunks => former.samples,
        _ => chunks * chunk_size,
    };
    manifest.fill.num_chunks = Some(chunks as u32);
    manifest.live = Some(LiveSettings {
        chunks: chunks as u32,
        from_generation: match &former {
            Some(former) => former.live.as_ref().map_or(2, |live| live.from_generation),
            None => 1,
        },
    });
    let Some(former) = former else { return Ok(Some(manifest)) };
    check(dir, &former, options, sources)?;
    if former == manifest {
        return Ok(None);
    }
    // Other producers read the manifest at their start: it must be theirs, too.
    let others = producers_alive(dir)?.into_iter().filter(|(shard, _)| *shard != options.shard);
    match others.map(|(_, pid)| pid).next() {
        Some(pid) => Err(ProducerError::CannotFollow {
            dir: dir.to_owned(),
            what: "this producer's data or settings".into(),
            found: format!("other than those of the producer of process {pid}"),
            expected: "the same for all producers of a buffer; stop the others first to change them".into(),
        }),
        None => Ok(Some(manifest)),
    }
}

/// Refuses buffers whose chunks do not fit what would be refilled.
fn check(
    dir: &Path,
    former: &Manifest,
    options: &FollowOptions,
    sources: &Sources,
) -> Result<(), ProducerError> {
    let wrong = |what: &dyn std::fmt::Display, found: String, expected: String| {
        Err(ProducerError::CannotFollow { dir: dir.to_owned(), what: what.to_string(), found, expected })
    };
    if former.state == BufferState::Filling {
        let expected =
            format!("complete; run the same {} command again without {}", Setting::FILL_UP, Setting::FOLLOW);
        return wrong(&"its fill", "not finished".into(), expected);
    }
    if former.chunk_size != options.options.chunk_size {
        let expected = format!("{}, as the buffer has it", former.chunk_size);
        return wrong(&Setting::CHUNK_SIZE, options.options.chunk_size.to_string(), expected);
    }
    let size = |size: Option<u32>| size.map_or_else(|| "not given".into(), |size| size.to_string());
    if former.fill.frame_size != options.options.frames.size {
        let expected = format!("{}, as the buffer has it", size(former.fill.frame_size));
        return wrong(&Setting::FRAME_SIZE, size(options.options.frames.size), expected);
    }
    let there = former.chunk_count();
    if let Some(chunks) = options.options.num_chunks.filter(|&chunks| u64::from(chunks) < there) {
        let expected = format!("at least {there}, the chunks of the buffer; or fill a new one");
        return wrong(&Setting::NUM_CHUNKS, chunks.to_string(), expected);
    }
    let (was, now) = (former.schemas(), sources.schemas());
    if was != now {
        let names = |schemas: &[rdt_schema::DatasetSchema]| {
            schemas.iter().map(|schema| schema.name.clone()).collect::<Vec<_>>().join(", ")
        };
        let (found, expected) = (names(&now), names(&was));
        if found != expected {
            return wrong(&"the list of data sets", found, format!("{expected}, as the buffer has it"));
        }
        let place = was.iter().zip(&now).find(|(was, now)| was != now);
        let (was, now) =
            place.map_or_else(Default::default, |(was, now)| (format!("{was:?}"), format!("{now:?}")));
        return wrong(&"the layout of a data set", now, format!("{was}, as the buffer has it"));
    }
    Ok(())
}
