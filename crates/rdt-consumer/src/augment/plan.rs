//! What is done to a picture, as drawn: which alterations, in which order, how strong.
//!
//! Numbers are those of RDT's `image_corrupt.py` and of its call of `ColorJitter`. A factor is
//! drawn even if it turns out not to be used, so that draws do not shift.

use crate::draw::Sequence;

/// The most severe noise: a twentieth of full scale.
const MOST_NOISE: f64 = 0.05 * 255.0;

/// What is done to one picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Augmentation {
    /// Comes first.
    pub(crate) color: Option<ColorJitter>,
    pub(crate) corruption: Option<Corruption>,
}

/// Changes of colour, each once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ColorJitter {
    pub(crate) order: [Adjustment; 4],
    /// Factors: 1 changes nothing.
    pub(crate) brightness: f32,
    pub(crate) contrast: f32,
    pub(crate) saturation: f32,
    /// Of a full turn.
    pub(crate) hue: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Adjustment {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

/// Noise, and mostly a blur.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Corruption {
    pub(crate) noise: Noise,
    pub(crate) blur: Option<Blur>,
    pub(crate) noise_first: bool,
}

/// Noise added to each pixel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Noise {
    pub(crate) law: Law,
    /// Whether the channels of a pixel get numbers of their own.
    pub(crate) per_channel: bool,
    /// Where the numbers come from.
    pub(crate) key: u64,
}

/// A distribution around 0, in levels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Law {
    Gaussian {
        deviation: f64,
    },
    Laplace {
        scale: f64,
    },
    /// With a random sign.
    Poisson {
        mean: f64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Blur {
    Gaussian {
        sigma: f64,
    },
    /// Sides are in pixels.
    Average {
        side: usize,
    },
    /// The side is odd.
    Median {
        side: usize,
    },
    /// The side is odd; the angle is in degrees; the direction, 0 to 1, is the weight of the one
    /// end of the line against the other.
    Motion {
        side: usize,
        angle: f64,
        direction: f64,
    },
}

impl Augmentation {
    /// Draws; none for half of the pictures.
    pub(crate) fn draw(key: u64) -> Option<Self> {
        let mut draws = Sequence::new(key);
        if draws.unit() <= 0.5 {
            return None;
        }
        let kind = draws.whole(0, 2);
        let color = ColorJitter::draw(&mut draws);
        let corruption = Corruption::draw(&mut draws);
        Some(Self { color: (kind != 0).then_some(color), corruption: (kind != 1).then_some(corruption) })
    }
}

impl ColorJitter {
    fn draw(draws: &mut Sequence) -> Self {
        use Adjustment::{Brightness, Contrast, Hue, Saturation};
        let mut order = [Brightness, Contrast, Saturation, Hue];
        for last in (1..order.len()).rev() {
            order.swap(last, draws.whole(0, last));
        }
        let mut around = |center: f64, most: f64| draws.between(center - most, center + most) as f32;
        Self {
            order,
            brightness: around(1.0, 0.3),
            contrast: around(1.0, 0.4),
            saturation: around(1.0, 0.5),
            hue: around(0.0, 0.03),
        }
    }
}

impl Corruption {
    fn draw(draws: &mut Sequence) -> Self {
        let noise_first = draws.coin();
        let severity = draws.between(0.0, MOST_NOISE);
        let law = match draws.whole(0, 2) {
            0 => Law::Gaussian { deviation: severity },
            1 => Law::Laplace { scale: severity },
            _ => Law::Poisson { mean: severity },
        };
        let noise = Noise { law, per_channel: draws.coin(), key: draws.key() };
        let blur = draws.coin().then(|| Blur::draw(draws));
        Self { noise, blur, noise_first }
    }
}

impl Blur {
    fn draw(draws: &mut Sequence) -> Self {
        // Motion blur against the other three together, as RDT nests them.
        if draws.coin() {
            let side = odd(draws.whole(3, 36));
            let angle = draws.between(0.0, 360.0);
            return Self::Motion { side, angle, direction: draws.unit() };
        }
        match draws.whole(0, 2) {
            0 => Self::Gaussian { sigma: draws.between(0.0, 3.0) },
            1 => Self::Average { side: draws.whole(2, 7) },
            _ => Self::Median { side: odd(draws.whole(3, 11)) },
        }
    }
}

/// The next odd number, if `side` is not one: twice as likely as the ends of the range.
fn odd(side: usize) -> usize {
    side | 1
}

#[cfg(test)]
mod tests;
