//! All parameters of a network in one flat buffer.
//!
//! A [`ParameterLayout`] lists names, shapes and initial values in the order of RDT's
//! state_dict; a buffer is one f32 tensor of that layout. Gradients, moments and the moving average
//! are buffers of the same layout, so clipping, AdamW and averaging are a handful of operations on
//! whole buffers, whatever the number of parameters.
//!
//! For a forward pass the buffer is cast (bf16) and split in one operation each; the
//! backward pass of the split concatenates all gradients into one flat tensor.
//!
//! Invariants: every parameter begins at a multiple of [`ALIGNMENT`] elements; the gaps are
//! zero and, since their gradient is zero, stay zero.

use std::ops::Range;

use tch::{Device, Kind, TchError, Tensor};

use crate::random::{self, Stream};

/// Every parameter begins at a multiple of this many elements: 256 bytes in f32, 128 in
/// bf16, more than any matrix kernel asks for.
pub const ALIGNMENT: i64 = 64;

/// A parameter of a layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParameterId(usize);

/// Values a parameter starts from.
#[derive(Debug)]
pub enum Init {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform in `[-bound, bound)`.
    Uniform(f64),
    /// Given values, of the parameter's shape.
    Values(Tensor),
}

/// One parameter: its name in the state_dict and its place in the buffer.
#[derive(Debug)]
pub struct Parameter {
    /// Name in RDT's state_dict.
    pub name: String,
    /// Shape.
    pub shape: Vec<i64>,
    /// First element in the buffer.
    pub offset: i64,
    init: Init,
}

impl Parameter {
    /// Number of elements.
    pub fn elements(&self) -> i64 {
        self.shape.iter().product()
    }
}

/// Names, shapes, places and initial values of all parameters, in RDT's order.
#[derive(Debug, Default)]
pub struct ParameterLayout {
    parameters: Vec<Parameter>,
    length: i64,
}

impl ParameterLayout {
    /// Appends a parameter.
    pub fn add(&mut self, name: impl Into<String>, shape: &[i64], init: Init) -> ParameterId {
        let parameter = Parameter { name: name.into(), shape: shape.to_vec(), offset: self.length, init };
        self.length += (parameter.elements() + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        self.parameters.push(parameter);
        ParameterId(self.parameters.len() - 1)
    }

    /// All parameters, in order.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// How many there are so far: the index of the next one.
    pub fn count(&self) -> usize {
        self.parameters.len()
    }

    /// Where in the buffer a range of parameters lies, the gap behind the last one included.
    pub fn span(&self, parameters: &Range<usize>) -> Range<i64> {
        let begin = |index| self.parameters.get(index).map_or(self.length, |p: &Parameter| p.offset);
        begin(parameters.start)..begin(parameters.end)
    }

    /// Elements of all parameters, without the gaps between them.
    pub fn elements(&self) -> i64 {
        self.parameters.iter().map(Parameter::elements).sum()
    }

    /// Elements of the buffer, gaps included.
    pub fn length(&self) -> i64 {
        self.length
    }

    /// A zero buffer of this layout.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn zeros(&self, device: Device) -> Result<Tensor, TchError> {
        Tensor::f_zeros([self.length], (Kind::Float, device))
    }

    /// A freshly initialised buffer: a function of `seed` and the layout only.
    ///
    /// # Errors
    /// The memory is not there.
    pub fn initial_values(&self, seed: u64, device: Device) -> Result<Tensor, TchError> {
        let flat = self.zeros(Device::Cpu)?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let mut view = self.view(&flat, parameter)?;
            let counter = index as u64;
            match &parameter.init {
                Init::Zeros => {}
                Init::Ones => drop(view.f_fill_(1.0)?),
                Init::Normal(std) => {
                    let drawn = random::normal(seed, Stream::Weights, counter, &parameter.shape)?;
                    view.f_copy_(&drawn.f_mul_scalar(*std)?)?;
                }
                Init::Uniform(bound) => {
                    let drawn = random::uniform(seed, Stream::Weights, counter, &parameter.shape)?;
                    view.f_copy_(&drawn.f_mul_scalar(2.0 * bound)?.f_sub_scalar(*bound)?)?;
                }
                Init::Values(values) => view.f_copy_(values)?,
            }
        }
        flat.f_to_device(device)
    }

    /// The named views of a buffer of this layout; they share its memory.
    ///
    /// # Errors
    /// The buffer is not of this layout.
    pub fn views<'a>(
        &'a self,
        flat: &'a Tensor,
    ) -> impl Iterator<Item = Result<(&'a Parameter, Tensor), TchError>> + 'a {
        self.parameters.iter().map(move |parameter| Ok((parameter, self.view(flat, parameter)?)))
    }

    fn view(&self, flat: &Tensor, parameter: &Parameter) -> Result<Tensor, TchError> {
        flat.f_narrow(0, parameter.offset, parameter.elements())?.f_view(parameter.shape.as_slice())
    }

    /// Lengths of the consecutive pieces of a range's span: each parameter, each gap.
    fn pieces(&self, range: &Range<usize>) -> Vec<i64> {
        let parameters = &self.parameters[range.clone()];
        let end = self.span(range).end;
        let ends = parameters.iter().skip(1).map(|p| p.offset).chain([end]);
        let mut pieces = Vec::with_capacity(2 * parameters.len());
        for (parameter, end) in parameters.iter().zip(ends) {
            pieces.push(parameter.elements());
            pieces.push(end - parameter.offset - parameter.elements());
        }
        pieces
    }
}

/// The parameters, or those of some parts of a network, as one forward pass uses them.
#[derive(Debug)]
pub struct Weights {
    /// The first parameter of each part, and the parameters from it on.
    parts: Vec<(usize, Vec<Tensor>)>,
    kind: Kind,
}

impl Weights {
    /// Casts and splits a buffer of `layout`, in one operation each.
    ///
    /// # Errors
    /// The buffer is not of this layout, or the memory is not there.
    pub fn split(layout: &ParameterLayout, flat: &Tensor, kind: Kind) -> Result<Self, TchError> {
        Self::of_parts(layout, &[(0..layout.count(), flat.f_to_kind(kind)?)], kind)
    }

    /// Parts of a network only: ranges of parameters, each with its span of a buffer of `kind`,
    /// which is split in one operation.
    ///
    /// # Errors
    /// A span is not of its range.
    pub fn of_parts(
        layout: &ParameterLayout,
        parts: &[(Range<usize>, Tensor)],
        kind: Kind,
    ) -> Result<Self, TchError> {
        let split = |(range, span): &(Range<usize>, Tensor)| -> Result<(usize, Vec<Tensor>), TchError> {
            let pieces = span.f_split_with_sizes(layout.pieces(range).as_slice(), 0)?;
            let views = layout.parameters[range.clone()]
                .iter()
                .zip(pieces.iter().step_by(2))
                .map(|(parameter, piece)| piece.f_view(parameter.shape.as_slice()))
                .collect::<Result<_, _>>()?;
            Ok((range.start, views))
        };
        Ok(Self { parts: parts.iter().map(split).collect::<Result<_, _>>()?, kind })
    }

    /// One parameter.
    ///
    /// # Panics
    /// If it is of a part that these weights do not have.
    pub fn get(&self, id: ParameterId) -> &Tensor {
        let found = self.parts.iter().find_map(|(first, views)| views.get(id.0.checked_sub(*first)?));
        match found {
            Some(view) => view,
            None => panic!("parameter {} is of another part of the network", id.0),
        }
    }

    /// The kind in which the network computes.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}
