//! Gradients with little memory: what a block computes is not kept for the backward pass, but
//! computed again when that comes to it (gradient checkpointing).
//!
//! The first pass keeps what goes into each block and no graph. Then, from the last block to the
//! first, a block is run again with a graph of its own, whose inputs are leaves; its backward pass
//! gives the gradients of its parameters and of what went into it. Conditions are seen by several
//! blocks, and their gradients summed.
//!
//! Invariant: the gradient is the one that a graph of the whole network gives, on the CPU bit by
//! bit: the same operations on the same numbers, sums in the same order.

use std::ops::Range;

use rdt_model::diffusion::{Draw, NoiseSchedule};
use rdt_model::network::{Rdt, Trunk};
use rdt_model::parameters::{ParameterLayout, Weights};
use tch::{Kind, TchError, Tensor};

use crate::parameters::FlatParameters;

/// A flat gradient to which micro-steps add.
#[derive(Debug, Default)]
pub struct GradientSum(Option<Tensor>);

impl GradientSum {
    /// Adds a whole gradient.
    ///
    /// # Errors
    /// It is of another layout.
    pub fn add(&mut self, gradient: Tensor) -> Result<(), TchError> {
        self.0 = Some(match self.0.take() {
            None => gradient,
            Some(mut sum) => tch::no_grad(|| sum.f_add_(&gradient))?,
        });
        Ok(())
    }

    /// Takes the sum and starts anew.
    pub fn take(&mut self) -> Option<Tensor> {
        self.0.take()
    }
}

/// Loss of a batch; adds the gradient of `share` times the loss to `sum`.
///
/// # Errors
/// Shapes do not fit, or the memory is not there.
pub fn accumulate(
    network: &Rdt,
    parameters: &FlatParameters,
    kind: Kind,
    schedule: &NoiseSchedule,
    draw: &Draw<'_>,
    share: f64,
    sum: &mut GradientSum,
) -> Result<Tensor, TchError> {
    let layout = parameters.layout();
    let cast = tch::no_grad(|| parameters.flat().detach().f_to_kind(kind))?;
    let mut gradient = Slices::of(layout, sum, &cast)?;
    let parts = network.parts();
    let conditions = draw.conditions;
    let usable = conditions.language_usable.as_ref();

    // Before the blocks, with a graph that is kept until the end.
    let before = Leaves::new(layout, &cast, &parts.before, kind)?;
    let tokens = network.adapt_rows(&before.weights, &draw.rows(schedule)?, &conditions.mask)?;
    let adapted = network.adapt(&before.weights, conditions)?;
    let trunk =
        network.begin(&before.weights, &tokens, &conditions.control_freq, draw.timesteps, &adapted)?;
    drop((tokens, adapted));

    // The blocks, without a graph: only what goes into each is kept.
    let seen =
        Trunk { x: trunk.x.detach(), language: trunk.language.detach(), images: trunk.images.detach() };
    let mut inputs = vec![seen.x.shallow_clone()];
    tch::no_grad(|| -> Result<(), TchError> {
        for (i, part) in parts.blocks.iter().enumerate() {
            let weights = Weights::of_parts(layout, &[(part.clone(), span(layout, &cast, part)?)], kind)?;
            inputs.push(network.block(&weights, i, &inputs[i], seen.condition(i), usable)?);
        }
        Ok(())
    })?;

    // The final layer and the loss.
    let Some(last) = inputs.pop() else { return Err(missing()) };
    let last = last.f_set_requires_grad(true)?;
    let head = Leaves::new(layout, &cast, std::slice::from_ref(&parts.last), kind)?;
    let loss = draw.error(&network.end(&head.weights, &last)?)?;
    let root = loss.f_mul_scalar(share)?;
    let [mut above] = backward(&[&root], [&last], head, &mut gradient)?;
    drop((root, last));

    // The blocks again, from the last to the first.
    let (mut language, mut images): (Option<Tensor>, Option<Tensor>) = (None, None);
    for (i, part) in parts.blocks.iter().enumerate().rev() {
        let Some(x) = inputs.pop() else { return Err(missing()) };
        let x = x.f_set_requires_grad(true)?;
        let condition = seen.condition(i).detach().f_set_requires_grad(true)?;
        let block = Leaves::new(layout, &cast, std::slice::from_ref(part), kind)?;
        let out = network.block(&block.weights, i, &x, &condition, usable)?;
        let root = product(&out, &above)?;
        drop(out);
        let [below, of_condition] = backward(&[&root], [&x, &condition], block, &mut gradient)?;
        above = below;
        let sum = if Rdt::sees_language(i) { &mut language } else { &mut images };
        *sum = Some(match sum.take() {
            None => of_condition,
            Some(before) => tch::no_grad(|| before.f_add(&of_condition))?,
        });
    }

    // What goes before them.
    let mut roots = vec![product(&trunk.x, &above)?];
    for (tensor, gradient) in [(&trunk.language, &language), (&trunk.images, &images)] {
        if let Some(gradient) = gradient {
            roots.push(product(tensor, gradient)?);
        }
    }
    drop(trunk);
    let roots: Vec<&Tensor> = roots.iter().collect();
    let [] = backward(&roots, [], before, &mut gradient)?;
    gradient.finish(sum);
    loss.f_detach()
}

/// A number whose gradient with respect to `tensor` is exactly `gradient`: once each.
fn product(tensor: &Tensor, gradient: &Tensor) -> Result<Tensor, TchError> {
    tensor.f_mul(gradient)?.f_sum(None::<Kind>)
}

fn span(layout: &ParameterLayout, flat: &Tensor, part: &Range<usize>) -> Result<Tensor, TchError> {
    let Range { start, end } = layout.span(part);
    flat.f_narrow(0, start, end - start)
}

fn missing() -> TchError {
    TchError::Shape("a block's input is missing".into())
}

/// Parts of the parameters as leaves of a graph.
struct Leaves {
    parts: Vec<(Range<usize>, Tensor)>,
    weights: Weights,
}

impl Leaves {
    fn new(
        layout: &ParameterLayout,
        cast: &Tensor,
        parts: &[Range<usize>],
        kind: Kind,
    ) -> Result<Self, TchError> {
        let leaf = |part: &Range<usize>| -> Result<(Range<usize>, Tensor), TchError> {
            Ok((part.clone(), span(layout, cast, part)?.f_detach()?.f_set_requires_grad(true)?))
        };
        let parts: Vec<_> = parts.iter().map(leaf).collect::<Result<_, _>>()?;
        Ok(Self { weights: Weights::of_parts(layout, &parts, kind)?, parts })
    }
}

/// Backward pass of `roots`: gradients of `inputs`, and those of the leaves into their places.
fn backward<const N: usize>(
    roots: &[&Tensor],
    inputs: [&Tensor; N],
    leaves: Leaves,
    gradient: &mut Slices<'_>,
) -> Result<[Tensor; N], TchError> {
    let wanted: Vec<&Tensor> = inputs.into_iter().chain(leaves.parts.iter().map(|(_, leaf)| leaf)).collect();
    let mut found = Tensor::f_run_backward(roots, &wanted, false, false)?;
    let of_leaves = found.split_off(N);
    for ((part, _), slice) in leaves.parts.iter().zip(of_leaves) {
        gradient.put(part, &slice)?;
    }
    found.try_into().map_err(|_| TchError::Shape("the backward pass returned too few gradients".into()))
}

/// A flat f32 gradient that is filled, or added to, part by part.
struct Slices<'a> {
    layout: &'a ParameterLayout,
    flat: Tensor,
    /// Whether there is something to add to.
    begun: bool,
}

impl<'a> Slices<'a> {
    fn of(layout: &'a ParameterLayout, sum: &mut GradientSum, like: &Tensor) -> Result<Self, TchError> {
        let (flat, begun) = match sum.take() {
            Some(flat) => (flat, true),
            // The parts cover all of it: nothing is left as it was.
            None => (Tensor::f_empty([layout.length()], (Kind::Float, like.device()))?, false),
        };
        Ok(Self { layout, flat, begun })
    }

    fn put(&mut self, part: &Range<usize>, slice: &Tensor) -> Result<(), TchError> {
        tch::no_grad(|| {
            let mut place = span(self.layout, &self.flat, part)?;
            if self.begun {
                place.f_add_(&slice.f_to_kind(Kind::Float)?).map(drop)
            } else {
                place.f_copy_(slice)
            }
        })
    }

    fn finish(self, sum: &mut GradientSum) {
        sum.0 = Some(self.flat);
    }
}
