//! One block of the trunk: self-attention, cross-attention and a feed-forward network, each
//! normed in front and added to the tokens. The condition is not normed.

use rdt_schema::config::NormForm;
use tch::{TchError, Tensor};

use crate::network::attention::{CrossAttention, SelfAttention};
use crate::network::linear::{Linear, LinearInit};
use crate::network::norm::Norm;
use crate::parameters::{ParameterLayout, Weights};

/// One block.
#[derive(Debug)]
pub struct Block {
    norm1: Norm,
    attn: SelfAttention,
    cross_attn: CrossAttention,
    norm2: Norm,
    ffn: FeedForward,
    norm3: Norm,
}

impl Block {
    /// Appends the parameters under `name` to the layout, in RDT's order.
    pub fn new(layout: &mut ParameterLayout, name: &str, hidden: i64, heads: i64, form: NormForm) -> Self {
        Self {
            norm1: Norm::new(layout, &format!("{name}.norm1"), hidden, form),
            attn: SelfAttention::new(layout, &format!("{name}.attn"), hidden, heads, form),
            cross_attn: CrossAttention::new(layout, &format!("{name}.cross_attn"), hidden, heads, form),
            norm2: Norm::new(layout, &format!("{name}.norm2"), hidden, form),
            ffn: FeedForward::new(layout, &format!("{name}.ffn"), hidden, hidden, LinearInit::Xavier),
            norm3: Norm::new(layout, &format!("{name}.norm3"), hidden, form),
        }
    }

    /// Tokens (B, N, hidden), condition (B, L, hidden), usable (B, L) -> (B, N, hidden).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(
        &self,
        weights: &Weights,
        x: &Tensor,
        condition: &Tensor,
        usable: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let x = x.f_add(&self.attn.forward(weights, &self.norm1.forward(weights, x)?)?)?;
        let seen = self.cross_attn.forward(weights, &self.norm2.forward(weights, &x)?, condition, usable)?;
        let x = x.f_add(&seen)?;
        x.f_add(&self.ffn.forward(weights, &self.norm3.forward(weights, &x)?)?)
    }
}

/// Two linear maps with a tanh-approximated GELU between them, no wider inside.
#[derive(Debug)]
pub struct FeedForward {
    fc1: Linear,
    fc2: Linear,
}

impl FeedForward {
    /// Appends `<name>.fc1` and `<name>.fc2`; `last` is how the second one starts.
    pub fn new(
        layout: &mut ParameterLayout,
        name: &str,
        hidden: i64,
        outputs: i64,
        last: LinearInit,
    ) -> Self {
        Self {
            fc1: Linear::new(layout, &format!("{name}.fc1"), hidden, hidden, LinearInit::Xavier),
            fc2: Linear::new(layout, &format!("{name}.fc2"), hidden, outputs, last),
        }
    }

    /// (..., hidden) -> (..., outputs).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        self.fc2.forward(weights, &self.fc1.forward(weights, x)?.f_gelu("tanh")?)
    }
}
