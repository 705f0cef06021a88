//! Images to tokens.

use rdt_schema::config::VisionConfig;
use tch::{Device, Kind, TchError, Tensor};

use crate::error::ModelError;
use crate::random::{self, Stream};

/// A frozen image encoder.
pub trait ImageEncoder {
    /// Width of a token.
    fn width(&self) -> i64;

    /// Tokens an image becomes.
    fn tokens(&self) -> i64;

    /// Images (N, 3, side, side) of any float kind in [-1, 1], on the encoder's device ->
    /// (N, tokens, width), of the encoder's kind.
    ///
    /// # Errors
    /// Images of another size, or the memory is not there.
    fn encode(&self, images: &Tensor) -> Result<Tensor, ModelError>;

    /// What the log calls it.
    fn describe(&self) -> String;
}

/// An untrained encoder: a random convolution per patch, a look at the neighbouring patches,
/// a random mixing of channels. A function of the seed.
#[derive(Debug)]
pub struct RandomPatch {
    convolution: Tensor,
    mixing: Tensor,
    width: i64,
    patch: i64,
    tokens: i64,
}

impl RandomPatch {
    /// Draws the weights.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn new(config: &VisionConfig, width: i64, seed: u64, device: Device) -> Result<Self, TchError> {
        let patch = i64::from(config.patch_size);
        let draw = |counter, shape: &[i64], inputs: i64| {
            random::normal(seed, Stream::ImageEncoder, counter, shape)?
                .f_mul_scalar(1.0 / (inputs as f64).sqrt())?
                .f_to_device(device)
        };
        Ok(Self {
            convolution: draw(0, &[width, 3, patch, patch], 3 * patch * patch)?,
            mixing: draw(1, &[width, width], width)?,
            width,
            patch,
            tokens: config.tokens_per_image(),
        })
    }
}

impl ImageEncoder for RandomPatch {
    fn width(&self) -> i64 {
        self.width
    }

    fn tokens(&self) -> i64 {
        self.tokens
    }

    fn encode(&self, images: &Tensor) -> Result<Tensor, ModelError> {
        let (stride, none) = ([self.patch; 2], [0i64; 2]);
        let tokens = tch::no_grad(|| {
            let patches = images.f_to_kind(Kind::Float)?.f_conv2d(
                &self.convolution,
                None::<&Tensor>,
                stride.as_slice(),
                none.as_slice(),
                [1i64; 2].as_slice(),
                1,
            )?;
            let around = patches.f_avg_pool2d([3i64; 2], [1i64; 2], [1i64; 2], false, false, None)?;
            let seen = patches.f_add(&around)?.f_flatten(2, 3)?.f_transpose(1, 2)?.f_gelu("tanh")?;
            seen.f_matmul(&self.mixing)?.f_layer_norm(
                [self.width].as_slice(),
                None::<&Tensor>,
                None::<&Tensor>,
                1e-6,
                false,
            )
        })?;
        Ok(tokens)
    }

    fn describe(&self) -> String {
        "random_patch: untrained, random weights".into()
    }
}
