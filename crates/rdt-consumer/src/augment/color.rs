//! Brightness, contrast, saturation and hue, as Pillow computes them for torchvision.
//!
//! The first three move each pixel between a plainer version of it (black, the mean grey, its
//! own grey) and itself, or past itself, in 32-bit floating point, cut and not rounded. Hue goes
//! through 8-bit hue, saturation and value, which is lossy even for a shift of nothing: RDT's
//! pictures lose the same.

/// Moves `level` away from `plain`: 0 gives `plain`, 1 the level itself.
#[inline(always)]
fn blend(plain: u8, level: u8, factor: f32) -> u8 {
    let plain = f32::from(plain);
    let blended = plain + factor * (f32::from(level) - plain);
    blended.clamp(0.0, 255.0) as u8
}

/// Grey of a colour (ITU-R 601), in 16-bit fixed point.
#[inline(always)]
fn grey(red: u8, green: u8, blue: u8) -> u8 {
    ((19595 * u32::from(red) + 38470 * u32::from(green) + 7471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Multiplies all levels.
#[inline(always)]
pub(super) fn brightness(pixels: &mut [u8], factor: f32) {
    for level in pixels {
        *level = blend(0, *level, factor);
    }
}

/// Stretches all levels around the picture's mean grey.
#[inline(always)]
pub(super) fn contrast(pixels: &mut [u8], factor: f32) {
    let count = pixels.len() / 3;
    if count == 0 {
        return;
    }
    let sum: u64 = pixels.as_chunks::<3>().0.iter().map(|&[r, g, b]| u64::from(grey(r, g, b))).sum();
    let mean = (sum as f64 / count as f64 + 0.5) as u8;
    for level in pixels {
        *level = blend(mean, *level, factor);
    }
}

/// Stretches each pixel's channels around its grey.
#[inline(always)]
pub(super) fn saturation(pixels: &mut [u8], factor: f32) {
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let grey = grey(pixel[0], pixel[1], pixel[2]);
        *pixel = pixel.map(|level| blend(grey, level, factor));
    }
}

/// Turns the hue by `turn` of a full circle.
#[inline(always)]
pub(super) fn hue(pixels: &mut [u8], turn: f32) {
    // Cut towards 0; a negative shift wraps around like the hue itself.
    let shift = (f64::from(turn) * 255.0) as i32 as u8;
    for pixel in pixels.as_chunks_mut::<3>().0 {
        let [hue, saturation, value] = to_hsv(*pixel);
        *pixel = from_hsv([hue.wrapping_add(shift), saturation, value]);
    }
}

/// Hue, saturation and value of a colour, 255 each at most.
#[inline(always)]
fn to_hsv([red, green, blue]: [u8; 3]) -> [u8; 3] {
    let most = red.max(green).max(blue);
    let range = most - red.min(green).min(blue);
    if range == 0 {
        return [0, 0, most];
    }
    // Which operations are in 32 and which in 64 bits decides about the last level.
    let range = f32::from(range);
    let saturation = range / f32::from(most);
    let below = |level: u8| f32::from(most - level) / range;
    let sixths = if red == most {
        below(blue) - below(green)
    } else if green == most {
        (2.0 + f64::from(below(red)) - f64::from(below(blue))) as f32
    } else {
        (4.0 + f64::from(below(green)) - f64::from(below(red))) as f32
    };
    let turns = f64::from(sixths) / 6.0 + 1.0;
    // The rest after whole turns; turns are in [5/6, 2).
    let hue = if turns >= 1.0 { turns - 1.0 } else { turns } as f32;
    [(f64::from(hue) * 255.0) as u8, (f64::from(saturation) * 255.0) as u8, most]
}

/// The colour of a hue, saturation and value.
#[inline(always)]
fn from_hsv([hue, saturation, value]: [u8; 3]) -> [u8; 3] {
    if saturation == 0 {
        return [value; 3];
    }
    let sixths = f32::from(hue) * 6.0 / 255.0;
    let sector = sixths as u8;
    let along = sixths - f32::from(sector);
    let saturation = f32::from(saturation) / 255.0;
    let scaled = |part: f32| {
        // Levels are not negative: adding a half and cutting rounds halves up.
        (f32::from(value) * (1.0 - saturation * part) + 0.5) as u8
    };
    let (low, falling, rising) = (scaled(1.0), scaled(along), scaled(1.0 - along));
    match sector % 6 {
        0 => [value, rising, low],
        1 => [falling, value, low],
        2 => [low, value, rising],
        3 => [low, falling, value],
        4 => [rising, low, value],
        _ => [value, low, falling],
    }
}
