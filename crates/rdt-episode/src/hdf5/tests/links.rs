//! External links: the values are the other file's, whatever this file has at the same addresses.

use super::{all_frames, made, open};

const LEN: usize = 4096;

#[test]
fn an_external_link_reads_the_file_it_names() {
    let values: Vec<f64> = (0..LEN).map(|i| i as f64 + 0.5).collect();
    let frames =
        ndarray::Array4::from_shape_fn((5, 3, 4, 3), |(t, y, x, c)| (t * 40 + y * 12 + x * 3 + c) as u8);
    let (_target_directory, target) = made(|file| {
        let group = file.create_group("data/demo_0")?;
        group.new_dataset_builder().with_data(&values).create("plain")?;
        group.new_dataset_builder().with_data(&values).chunk(512).deflate(4).create("packed")?;
        group.new_dataset_builder().with_data(&frames).create("frames")?;
        Ok(())
    });
    // Larger than the target, so that every address of the target lies inside it as well.
    let (_directory, path) = made(|file| {
        file.new_dataset_builder().with_data(&vec![7_u8; 1 << 20]).create("filler")?;
        let group = file.create_group("data")?;
        group.link_external(target.to_str().expect("UTF-8"), "/data/demo_0", "demo_0")
    });
    let file = open(&path);
    for name in ["data/demo_0/plain", "data/demo_0/packed"] {
        assert_eq!(file.read_f64(name).expect("numbers").values, values, "{name}");
    }
    let read = all_frames(&file.frames("data/demo_0/frames", None).expect("frames")).expect("every frame");
    let bytes: Vec<u8> = read.into_iter().flat_map(|(bytes, _)| bytes).collect();
    assert_eq!(bytes, frames.into_raw_vec_and_offset().0);
}
