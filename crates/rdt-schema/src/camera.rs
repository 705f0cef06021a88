//! Camera slots and how a frame's colours and rows are ordered.

use serde::{Deserialize, Serialize};

/// One of RDT's four camera slots, in the order in which samples hold them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum CameraSlot {
    /// The view from outside (`past_frames_0`).
    External = 0,
    /// The camera on the right wrist, or on the only one (`past_frames_1`).
    RightWrist = 1,
    /// The camera on the left wrist (`past_frames_2`).
    LeftWrist = 2,
    /// A fourth camera; RDT stores it and does not train on it (`past_frames_3`).
    Extra = 3,
}

impl CameraSlot {
    /// Number of slots.
    pub const COUNT: usize = 4;
    /// All slots in order.
    pub const ALL: [CameraSlot; Self::COUNT] =
        [Self::External, Self::RightWrist, Self::LeftWrist, Self::Extra];

    /// Position of the slot in a sample, 0 to 3.
    pub fn index(self) -> usize {
        self as usize
    }

    /// The name used in dataset cards and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::RightWrist => "right_wrist",
            Self::LeftWrist => "left_wrist",
            Self::Extra => "extra",
        }
    }
}

/// Order of the three colour channels.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ChannelOrder {
    /// Red, green, blue: what samples are delivered in.
    #[default]
    Rgb = 0,
    /// Blue, green, red. Of a JPEG: an ordinary decoder returns red and blue swapped,
    /// since it was encoded from RGB by an encoder that expects BGR.
    Bgr = 1,
}

/// How a stored frame's rows and columns relate to the upright picture.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, bincode::Encode, bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Flip {
    /// As stored.
    #[default]
    None = 0,
    /// Rows in reverse order (OpenGL's convention, LIBERO).
    Vertical = 1,
    /// Columns in reverse order.
    Horizontal = 2,
    /// Both: turned by 180 degrees.
    Both = 3,
}

/// How the bytes of one frame are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameForm {
    /// Pixels or a JPEG file.
    pub encoding: FrameEncoding,
    /// Rows of the picture.
    pub height: u32,
    /// Columns of the picture.
    pub width: u32,
    /// Channel order of the pixels, or of what an ordinary decoder makes of the JPEG.
    pub order: ChannelOrder,
    /// How rows and columns relate to the upright picture.
    pub flip: Flip,
}

/// What the bytes of a source frame are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameEncoding {
    /// `height * width * 3` bytes, row by row.
    Raw,
    /// A JPEG file.
    Jpeg,
}
