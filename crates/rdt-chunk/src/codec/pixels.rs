//! Pixels of a source frame to upright RGB: channel order and flips.

use rdt_schema::{ChannelOrder, Flip, FrameForm};

/// Bytes of a pixel: three channels.
pub(crate) const PIXEL: usize = 3;

/// Bytes of a decoded frame of that form.
pub(crate) fn decoded_bytes(form: &FrameForm) -> usize {
    form.height as usize * form.width as usize * PIXEL
}

/// Turns a frame upright in place; the channel order is not touched.
///
/// `pixels` holds whole rows of `width` pixels.
pub(crate) fn turn_upright(pixels: &mut [u8], width: u32, flip: Flip) {
    let row_bytes = width as usize * PIXEL;
    if row_bytes == 0 {
        return;
    }
    if matches!(flip, Flip::Vertical | Flip::Both) {
        let half = pixels.len() / row_bytes / 2 * row_bytes;
        let tail = pixels.len() - half;
        let (top, bottom) = pixels.split_at_mut(tail);
        for (upper, lower) in top.chunks_exact_mut(row_bytes).zip(bottom.rchunks_exact_mut(row_bytes)) {
            upper.swap_with_slice(lower);
        }
    }
    if matches!(flip, Flip::Horizontal | Flip::Both) {
        for row in pixels.chunks_exact_mut(row_bytes) {
            mirror(row);
        }
    }
}

/// Copies raw source pixels to upright RGB. Both hold [`decoded_bytes`] of `form`.
pub(crate) fn copy_upright(source: &[u8], form: &FrameForm, out: &mut [u8]) {
    let row_bytes = form.width as usize * PIXEL;
    if row_bytes == 0 {
        return;
    }
    let upside_down = matches!(form.flip, Flip::Vertical | Flip::Both);
    let mirrored = matches!(form.flip, Flip::Horizontal | Flip::Both);
    let rows = out.chunks_exact_mut(row_bytes);
    let mut upright = source.chunks_exact(row_bytes);
    let mut reversed = source.rchunks_exact(row_bytes);
    for row in rows {
        let next = if upside_down { reversed.next() } else { upright.next() };
        let Some(from) = next else { return };
        row.copy_from_slice(from);
        if mirrored {
            mirror(row);
        }
        if form.order == ChannelOrder::Bgr {
            swap_red_and_blue(row);
        }
    }
}

fn mirror(row: &mut [u8]) {
    let half = row.len() / PIXEL / 2 * PIXEL;
    let tail = row.len() - half;
    let (left, right) = row.split_at_mut(tail);
    for (a, b) in left.chunks_exact_mut(PIXEL).zip(right.rchunks_exact_mut(PIXEL)) {
        a.swap_with_slice(b);
    }
}

fn swap_red_and_blue(row: &mut [u8]) {
    for pixel in row.chunks_exact_mut(PIXEL) {
        pixel.swap(0, 2);
    }
}

#[cfg(test)]
mod tests {
    use rdt_schema::FrameEncoding;

    use super::*;

    #[test]
    fn every_flip_and_order_moves_each_pixel_to_its_place() {
        for (height, width) in [(1, 1), (2, 3), (3, 2), (5, 4), (4, 5)] {
            for flip in [Flip::None, Flip::Vertical, Flip::Horizontal, Flip::Both] {
                for order in [ChannelOrder::Rgb, ChannelOrder::Bgr] {
                    let form = FrameForm { encoding: FrameEncoding::Raw, height, width, order, flip };
                    let source: Vec<u8> = (0..decoded_bytes(&form)).map(|i| i as u8).collect();
                    let mut copied = vec![0; source.len()];
                    copy_upright(&source, &form, &mut copied);
                    let mut turned = source.clone();
                    turn_upright(&mut turned, width, flip);
                    for y in 0..height as usize {
                        for x in 0..width as usize {
                            let from_y = if flip as u8 & 1 == 1 { height as usize - 1 - y } else { y };
                            let from_x = if flip as u8 & 2 == 2 { width as usize - 1 - x } else { x };
                            for channel in 0..PIXEL {
                                let from_channel =
                                    if order == ChannelOrder::Bgr { 2 - channel } else { channel };
                                let at = (y * width as usize + x) * PIXEL;
                                let from = (from_y * width as usize + from_x) * PIXEL;
                                assert_eq!(copied[at + channel], source[from + from_channel]);
                                assert_eq!(turned[at + channel], source[from + channel]);
                            }
                        }
                    }
                }
            }
        }
    }
}
