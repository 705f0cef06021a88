//! From recorded values to the unified vector, and from a policy's output back to the robot.
//!
//! Every conversion has an inverse. Two of them lose something by nature: `clip` gives back what
//! it let through, and `sum` gives back the smallest columns that have the sum (for two fingers
//! that mirror each other: exactly their positions).

use crate::card::extremes::{ColumnExtremes, Extremes};
use crate::card::{Convert, DatasetCard, Mapping, Precision, Rotation, rotation};
use crate::error::SchemaError;
use crate::state_vec::STATE_DIM;
use crate::window::ActionSource;

/// The conversions of one mapping, ready to apply to rows.
///
/// ```
/// use rdt_schema::card::{Conversion, Convert, Precision};
///
/// let gripper = Conversion::new(&[Convert::Scale(vec![-0.5]), Convert::Offset(vec![0.5])], None, Precision::Double);
/// assert_eq!(gripper.apply(&[-1.0]), [1.0]); // open
/// assert_eq!(gripper.invert(&[1.0]), [-1.0]);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    steps: Vec<Step>,
    single: bool,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Scale(Vec<f64>),
    Divide(Vec<f64>),
    Offset(Vec<f64>),
    Sum(Vec<f64>),
    MinMax { extremes: ColumnExtremes, low: f64, high: f64 },
    RotationFrom(Rotation),
    Clip(f64, f64),
}

impl Conversion {
    /// The conversions of a mapping. `extremes` are needed where one of them is `min_max`;
    /// without them such a step maps everything to NaN, which no episode is accepted with.
    pub fn new(convert: &[Convert], extremes: Option<&ColumnExtremes>, precision: Precision) -> Self {
        let single = precision == Precision::Single;
        let round = |numbers: &[f64]| numbers.iter().map(|&x| rounded(x, single)).collect::<Vec<f64>>();
        let step = |convert: &Convert| match convert {
            Convert::Scale(numbers) => Step::Scale(round(numbers)),
            Convert::Divide(numbers) => Step::Divide(round(numbers)),
            Convert::Offset(numbers) => Step::Offset(round(numbers)),
            Convert::Sum(weights) => Step::Sum(round(weights)),
            Convert::MinMax([low, high]) => {
                let unknown =
                    || ColumnExtremes { min: vec![f64::NAN; STATE_DIM], max: vec![f64::NAN; STATE_DIM] };
                let extremes = extremes.cloned().unwrap_or_else(unknown);
                Step::MinMax { extremes, low: *low, high: *high }
            }
            Convert::RotationFrom(form) => Step::RotationFrom(*form),
            Convert::Clip([low, high]) => Step::Clip(*low, *high),
        };
        Self { steps: convert.iter().map(step).collect(), single }
    }

    /// From the columns of the array to entries of the vector.
    pub fn apply(&self, values: &[f64]) -> Vec<f64> {
        let mut values = values.to_vec();
        self.apply_in_place(&mut values);
        values
    }

    /// The same, on a row that is replaced.
    pub fn apply_in_place(&self, values: &mut Vec<f64>) {
        for step in &self.steps {
            step.apply(values, self.single);
        }
    }

    /// From entries of the vector back to the columns of the array.
    pub fn invert(&self, values: &[f64]) -> Vec<f64> {
        self.steps.iter().rev().fold(values.to_vec(), |values, step| step.invert(values))
    }
}

/// To the nearest float32 where `single`: a float32 operation is the float64 one, rounded once more.
fn rounded(value: f64, single: bool) -> f64 {
    if single { f64::from(value as f32) } else { value }
}

impl Step {
    fn apply(&self, values: &mut Vec<f64>, single: bool) {
        let mut each = |numbers: &[f64], operation: fn(f64, f64) -> f64| {
            for (value, &number) in values.iter_mut().zip(numbers) {
                *value = rounded(operation(*value, number), single);
            }
        };
        match self {
            Self::Scale(numbers) => each(numbers, |value, number| value * number),
            Self::Divide(numbers) => each(numbers, |value, number| value / number),
            Self::Offset(numbers) => each(numbers, |value, number| value + number),
            Self::Sum(weights) => {
                let sum = values
                    .iter()
                    .zip(weights)
                    .fold(0.0, |sum, (value, weight)| rounded(sum + rounded(value * weight, single), single));
                *values = vec![sum];
            }
            Self::MinMax { extremes, low, high } => {
                for (value, (&min, &max)) in values.iter_mut().zip(extremes.min.iter().zip(&extremes.max)) {
                    // A column that never changes goes to the middle of the range.
                    let range = rounded(max - min, single);
                    let share = if range == 0.0 {
                        0.5
                    } else {
                        rounded(rounded(*value - min, single) / range, single)
                    };
                    *value = rounded(rounded(share * (high - low), single) + low, single);
                }
            }
            Self::RotationFrom(form) => {
                *values = rotation::to_6d(*form, values).map(|x| rounded(x, single)).to_vec();
            }
            Self::Clip(low, high) => {
                for value in values {
                    *value = value.clamp(*low, *high);
                }
            }
        }
    }

    fn invert(&self, mut values: Vec<f64>) -> Vec<f64> {
        let each = |mut values: Vec<f64>, numbers: &[f64], operation: fn(f64, f64) -> f64| {
            for (value, &number) in values.iter_mut().zip(numbers) {
                *value = operation(*value, number);
            }
            values
        };
        match self {
            Self::Scale(numbers) => each(values, numbers, |value, number| value / number),
            Self::Divide(numbers) => each(values, numbers, |value, number| value * number),
            Self::Offset(numbers) => each(values, numbers, |value, number| value - number),
            Self::Sum(weights) => {
                let square: f64 = weights.iter().map(|w| w * w).sum();
                let sum = values.first().copied().unwrap_or(f64::NAN);
                weights.iter().map(|weight| sum * weight / square).collect()
            }
            Self::MinMax { extremes, low, high } => {
                for (value, (&min, &max)) in values.iter_mut().zip(extremes.min.iter().zip(&extremes.max)) {
                    *value = (*value - low) / (high - low) * (max - min) + min;
                }
                values
            }
            Self::RotationFrom(form) => match <[f64; 6]>::try_from(values) {
                Ok(six) => rotation::from_6d(*form, six),
                Err(values) => values.iter().map(|_| f64::NAN).collect(),
            },
            Self::Clip(low, high) => {
                values.iter_mut().for_each(|value| *value = value.clamp(*low, *high));
                values
            }
        }
    }
}

/// What a policy's output means for one array of the robot's interface.
#[derive(Debug, Clone, PartialEq)]
pub struct RobotAction {
    /// The array, as the card names it.
    pub array: String,
    /// Its columns; `None` where the card leaves a column out.
    pub values: Vec<Option<f64>>,
}

/// All conversions of a card, both ways.
#[derive(Debug, Clone, PartialEq)]
pub struct CardConversion {
    /// One a state mapping.
    pub state: Vec<Conversion>,
    /// One an action mapping; empty where actions are the next states.
    pub action: Vec<Conversion>,
    state_mappings: Vec<Mapping>,
    action_mappings: Vec<Mapping>,
    next_state: bool,
}

impl CardConversion {
    /// The conversions of a card. `extremes` are those of the data set the policy was trained on,
    /// from the buffer's manifest; needed where the card has a `min_max`.
    pub fn new(card: &DatasetCard, extremes: Option<&Extremes>) -> Self {
        let compile = |mappings: &[Mapping], extremes: Option<&Vec<Option<ColumnExtremes>>>| {
            let extremes_of = |position: usize| extremes.and_then(|all| all.get(position)?.as_ref());
            let indexed = mappings.iter().enumerate();
            indexed
                .map(|(position, mapping)| {
                    Conversion::new(&mapping.convert, extremes_of(position), card.precision)
                })
                .collect()
        };
        let next_state = card.window.actions == ActionSource::NextState;
        Self {
            state: compile(&card.state, extremes.map(|extremes| &extremes.state)),
            action: compile(&card.action, extremes.map(|extremes| &extremes.action)),
            state_mappings: card.state.clone(),
            action_mappings: if next_state { card.state.clone() } else { card.action.clone() },
            next_state,
        }
    }

    /// What one row of a robot's state means in the unified vector, as an episode's row of these
    /// values: `array` gives the columns of an array by the card's name for it. The vector (128) and
    /// its mask (128), 1 where the state fills the entry.
    ///
    /// # Errors
    /// An array is not given, has too few columns, or holds what the conversions make no finite number
    /// of.
    pub fn state_to_unified<'a>(
        &self,
        array: &dyn Fn(&str) -> Option<&'a [f64]>,
    ) -> Result<([f32; STATE_DIM], [f32; STATE_DIM]), SchemaError> {
        let (mut vector, mut mask) = ([0.0; STATE_DIM], [0.0; STATE_DIM]);
        for (mapping, conversion) in self.state_mappings.iter().zip(&self.state) {
            let name = &mapping.array;
            let wrong =
                |found: String, expected: String| SchemaError::Row { array: name.clone(), found, expected };
            let source = array(name)
                .ok_or_else(|| wrong("missing".into(), "a row of numbers, as the card names it".into()))?;
            let highest = mapping.columns.as_ref().and_then(|columns| columns.iter().max());
            let least = highest.map_or(mapping.input_width(), |last| last + 1);
            if source.len() < least {
                return Err(wrong(format!("{} columns", source.len()), format!("at least {least}")));
            }
            let mut row = Vec::new();
            mapping.take_into(source, &mut row);
            conversion.apply_in_place(&mut row);
            if row.len() != mapping.entries.len() || row.iter().any(|value| !value.is_finite()) {
                return Err(wrong(
                    format!("{source:?}, which becomes {row:?}"),
                    "values that the card's conversions make finite numbers of".into(),
                ));
            }
            for (&entry, value) in mapping.entries.iter().zip(row) {
                vector[usize::from(entry)] = value as f32;
                mask[usize::from(entry)] = 1.0;
            }
        }
        Ok((vector, mask))
    }

    /// What one row of a policy's output, in the unified vector, means for the robot: the
    /// recorded action arrays' columns, or the state arrays' where actions are the next states.
    ///
    /// ```
    /// use rdt_schema::DatasetCard;
    /// use rdt_schema::card::CardConversion;
    ///
    /// let libero = CardConversion::new(&DatasetCard::find("libero", None)?, None);
    /// let mut output = [0.0f32; 128];
    /// output[30] = 0.05; // metres along x
    /// (output[33], output[37]) = (1.0, 1.0); // no rotation
    /// output[10] = 1.0; // open
    /// let action = libero.action_from_unified(&output);
    /// let close = |i: usize, x: f64| (action[0].values[i].unwrap_or(f64::NAN) - x).abs() < 1e-6;
    /// assert!(close(0, 1.0) && close(3, 0.0) && close(6, -1.0));
    /// # Ok::<(), rdt_schema::SchemaError>(())
    /// ```
    pub fn action_from_unified(&self, output: &[f32; STATE_DIM]) -> Vec<RobotAction> {
        let conversions = if self.next_state { &self.state } else { &self.action };
        let mut actions: Vec<RobotAction> = Vec::new();
        for (mapping, conversion) in self.action_mappings.iter().zip(conversions) {
            let entries: Vec<f64> =
                mapping.entries.iter().map(|&entry| f64::from(output[usize::from(entry)])).collect();
            let values = conversion.invert(&entries);
            let position =
                actions.iter().position(|action| action.array == mapping.array).unwrap_or_else(|| {
                    actions.push(RobotAction { array: mapping.array.clone(), values: Vec::new() });
                    actions.len() - 1
                });
            let columns = &mut actions[position].values;
            for (i, value) in values.into_iter().enumerate() {
                let column = mapping.columns.as_ref().map_or(i, |columns| columns[i]);
                let width = mapping.width.unwrap_or(0).max(column + 1);
                if columns.len() < width {
                    columns.resize(width, None);
                }
                columns[column] = Some(value);
            }
        }
        actions
    }
}
