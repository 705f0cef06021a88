//! Attention of the trunk's tokens: to themselves, and to a condition (language or images).
//!
//! Queries and keys are normed per head. The product itself is libtorch's fused one.

use rdt_schema::config::NormForm;
use tch::{TchError, Tensor};

use crate::network::linear::{Linear, LinearInit};
use crate::network::norm::Norm;
use crate::parameters::{ParameterLayout, Weights};

/// Attention of the tokens to each other, without mask.
#[derive(Debug)]
pub struct SelfAttention {
    qkv: Linear,
    heads: Heads,
}

impl SelfAttention {
    /// Appends the parameters under `name` to the layout.
    pub fn new(layout: &mut ParameterLayout, name: &str, hidden: i64, heads: i64, form: NormForm) -> Self {
        let qkv = Linear::new(layout, &format!("{name}.qkv"), hidden, 3 * hidden, LinearInit::Xavier);
        Self { qkv, heads: Heads::new(layout, name, hidden, heads, form) }
    }

    /// (B, N, hidden) -> (B, N, hidden).
    ///
    /// # Errors
    /// Shapes do not fit, or the memory is not there.
    pub fn forward(&self, weights: &Weights, x: &Tensor) -> Result<Tensor, TchError> {
        let qkv = self.qkv.forward(weights, x)?;
        let [q, k, v] = self.heads.split(&qkv)?;
        self.heads.attend(weights, &q, &k, &v, None)
    }
}

/// Attention of the tokens to a condition.
#[derive(Debug)]
pub struct CrossAttention {
    q: Linear,
    kv: Linear,
    heads: Heads,
}

impl CrossAttention {
    /// Appends the parameters under `name` to the layout.
    pub fn new(layout: &mut ParameterLayout, name: &str, hidden: i64, heads: i64, form: NormForm) -> Self {
        let q = Linear::new(layout, &format!("{name}.q"), hidden, hidden, LinearInit::Xavier);
        let kv = Linear::new(layout, &format!("{name}.kv"), hidden, 2 * hidden, LinearInit::Xavier);
        Self { q, kv, heads: Heads::new(layout, name, hidden, heads, form) }
    }

    /// Tokens (B, N, hidden) and condition (B, L, hidden) -> (B, N, hidden). Where `usable`
    /// (B, L) bool is false, the condition's token is not attended to; every sample needs
    /// one that is.
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
        let [q] = self.heads.split(&self.q.forward(weights, x)?)?;
        let [k, v] = self.heads.split(&self.kv.forward(weights, condition)?)?;
        let mask = match usable {
            Some(usable) => {
                let (batch, length) = usable.size2()?;
                let tokens = q.size4()?.2;
                Some(usable.f_view([batch, 1, 1, length])?.f_expand([batch, 1, tokens, length], false)?)
            }
            None => None,
        };
        self.heads.attend(weights, &q, &k, &v, mask.as_ref())
    }
}

/// What both kinds share: norms of queries and keys, the product, the projection behind it.
#[derive(Debug)]
struct Heads {
    count: i64,
    width: i64,
    q_norm: Norm,
    k_norm: Norm,
    proj: Linear,
}

impl Heads {
    fn new(layout: &mut ParameterLayout, name: &str, hidden: i64, count: i64, form: NormForm) -> Self {
        let width = hidden / count;
        let q_norm = Norm::new(layout, &format!("{name}.q_norm"), width, form);
        let k_norm = Norm::new(layout, &format!("{name}.k_norm"), width, form);
        let proj = Linear::new(layout, &format!("{name}.proj"), hidden, hidden, LinearInit::Xavier);
        Self { count, width, q_norm, k_norm, proj }
    }

    /// (B, N, K * hidden) -> K tensors (B, heads, N, width).
    fn split<const K: usize>(&self, x: &Tensor) -> Result<[Tensor; K], TchError> {
        let (batch, tokens, _) = x.size3()?;
        let parts = x
            .f_view([batch, tokens, K as i64, self.count, self.width])?
            .f_permute([2, 0, 3, 1, 4])?
            .f_unbind(0)?;
        parts.try_into().map_err(|_| TchError::Shape(format!("expected {K} parts")))
    }

    fn attend(
        &self,
        weights: &Weights,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        mask: Option<&Tensor>,
    ) -> Result<Tensor, TchError> {
        let q = self.q_norm.forward(weights, q)?;
        let k = self.k_norm.forward(weights, k)?;
        let out = Tensor::f_scaled_dot_product_attention(&q, &k, v, mask, 0.0, false, None, false)?;
        let (batch, _, tokens, _) = out.size4()?;
        let joined = out.f_transpose(1, 2)?.f_reshape([batch, tokens, self.count * self.width])?;
        self.proj.forward(weights, &joined)
    }
}
