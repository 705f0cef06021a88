//! The flag that says where images are prepared.

use clap::ValueEnum;
use rdt_data::Images;

/// Where images are padded, resized and normalised.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct ImageDeliveryFlags {
    /// Prepare images on the CPU, equal to RDT's bit by bit (pixel), or on the device, within one
    /// level of 255 on at most 0.02 % of values (frames)
    #[arg(long, value_enum, default_value_t = ImageDelivery::Auto)]
    pub image_delivery: ImageDelivery,
}

/// Values of `--image-delivery`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ImageDelivery {
    /// `frames` on CUDA, `pixel` on the CPU
    Auto,
    /// By the loader's threads
    Pixel,
    /// By the device, in batch
    Frames,
}

impl ImageDeliveryFlags {
    /// What the loader delivers for images of `size` pixels. On a GPU the resize is next to
    /// nothing, and frames are the smaller thing to send; on the CPU the loader's own resize is
    /// the faster one.
    pub fn images(self, on_cuda: bool, size: usize) -> Images {
        match self.image_delivery {
            ImageDelivery::Frames => Images::Frames,
            ImageDelivery::Auto if on_cuda => Images::Frames,
            ImageDelivery::Auto | ImageDelivery::Pixel => Images::Pixel(size),
        }
    }
}
