//! Reading: ids, missing, foreign and damaged chunks, dirty bits.

use std::fs;
use std::sync::Arc;

use super::make::{self, Result};
use crate::bits;
use crate::*;

#[test]
fn every_sample_id_leads_to_its_slot() -> Result {
    let dir = tempfile::tempdir()?;
    make::whole(dir.path())?;
    let buffer = Buffer::open_complete(dir.path())?;
    assert_eq!((buffer.sample_count(), buffer.chunk_count()), (6, 2));
    for id in 0..6 {
        let (chunk, slot) = buffer.locate(SampleId::new(id));
        assert_eq!((u64::from(chunk.get()), u64::from(slot.get())), (id / 4, id % 4));
        assert_eq!(buffer.chunk(chunk)?.sample(slot.get())?.step(), slot.get());
    }
    let first = ChunkId::new(0);
    assert!(Arc::ptr_eq(&buffer.chunk(first)?, &buffer.chunk(first)?), "maps are kept");
    let (chunk, slot) = buffer.locate(SampleId::new(6));
    assert!(buffer.chunk(chunk)?.sample(slot.get()).is_err());
    let (chunk, _) = buffer.locate(SampleId::new(u64::MAX));
    assert!(matches!(buffer.chunk(chunk), Err(BufferError::NoSuchChunk { .. })));
    Ok(())
}

#[test]
fn an_unfinished_buffer_can_be_looked_at_but_not_trained_on() -> Result {
    let dir = tempfile::tempdir()?;
    let mut writer = make::start(dir.path(), 6)?;
    make::publish(&writer, 1)?;
    assert_eq!(Buffer::open(dir.path())?.published_chunks()?, [ChunkId::new(1)]);
    let error = Buffer::open_complete(dir.path()).unwrap_err().to_string();
    assert!(error.contains("1 of 2 chunks"), "{error}");
    writer.write_manifest(make::manifest(6, BufferState::Complete))?;
    let error = Buffer::open_complete(dir.path()).unwrap_err().to_string();
    assert!(error.contains("chunks/00000000.chunk: chunk 00000000 is missing"), "{error}");
    Ok(())
}

#[test]
fn foreign_and_damaged_chunks_are_refused_by_name() -> Result {
    let dir = tempfile::tempdir()?;
    make::whole(dir.path())?;
    let [first, second] = [0, 1].map(|id| layout::chunk(dir.path(), ChunkId::new(id)));
    let refusal = || -> Result<String> {
        let error = Buffer::open(dir.path())?.chunk(ChunkId::new(1)).unwrap_err();
        let cause = std::error::Error::source(&error).map(|e| e.to_string()).unwrap_or_default();
        Ok(format!("{error}: {cause}"))
    };
    let whole = fs::read(&second)?;
    fs::copy(&first, &second)?;
    let text = refusal()?;
    assert!(text.contains("00000001.chunk: the chunk number is 0, the manifest says 1"), "{text}");

    let other = make::write_chunk(std::io::Cursor::new(Vec::new()), make::spec(ChunkId::new(1)), 4)?;
    fs::write(&second, other.0.into_inner())?;
    let text = refusal()?;
    assert!(text.contains("the number of samples is 4, the manifest says 2"), "{text}");

    fs::write(&second, &whole[..whole.len() - 1])?;
    let text = refusal()?;
    assert!(text.contains("00000001.chunk"), "{text}");

    fs::write(&second, &whole)?;
    let mut manifest = make::manifest(6, BufferState::Complete);
    manifest.datasets[0].schema.window.image_history = 1;
    BufferWriter::start(ProducerLock::acquire(dir.path())?, Arc::new(storage::Disk), manifest)?;
    let text = refusal()?;
    assert!(text.contains("the schema of a data set"), "{text}");
    Ok(())
}

#[test]
fn bits_are_counted_and_checked() -> Result {
    let dir = tempfile::tempdir()?;
    make::whole(dir.path())?;
    let buffer = Buffer::open(dir.path())?;
    let clean = buffer.bits()?;
    assert_eq!((clean.slots, clean.clean(), clean.dirty()), (6, 6, 0));
    let path = layout::bits(dir.path(), ChunkId::new(0), 1);
    let mut file = fs::read(&path)?;
    // Slot 0 claimed; slot 2 claimed and delivered; slot 4 does not exist.
    file[bits::HEADER_LENGTH] = 0b11_0001;
    file[bits::HEADER_LENGTH + 1] = 0b11;
    fs::write(&path, &file)?;
    let counts = buffer.bits_of(ChunkId::new(0))?;
    assert_eq!(counts, BitCounts { slots: 4, claimed: 2, delivered: 1 });
    assert_eq!((counts.clean(), counts.dirty()), (2, 2));
    for at in 0..bits::HEADER_LENGTH {
        let mut flipped = file.clone();
        flipped[at] ^= 0x10;
        fs::write(&path, flipped)?;
        assert!(matches!(buffer.bits_of(ChunkId::new(0)), Err(BufferError::DamagedBits { .. })), "{at}");
    }
    fs::write(&path, &file[..file.len() - 1])?;
    assert!(buffer.bits_of(ChunkId::new(0)).is_err());
    fs::remove_file(&path)?;
    assert!(buffer.bits_of(ChunkId::new(0)).is_err());
    Ok(())
}

#[test]
fn a_map_outlives_the_withdrawal_of_its_chunk() -> Result {
    let dir = tempfile::tempdir()?;
    let writer = make::start(dir.path(), 6)?;
    make::publish(&writer, 0)?;
    let buffer = Buffer::open(dir.path())?;
    let chunk = buffer.chunk(ChunkId::new(0))?;
    writer.withdraw(ChunkId::new(0))?;
    make::publish(&writer, 0)?;
    chunk.verify()?;
    assert_eq!(chunk.sample(3)?.step(), 3);
    Ok(())
}
