//! What a policy puts out goes back to the robot: every conversion and its inverse.

use std::path::Path;

use proptest::prelude::*;
use rdt_schema::card::{CardConversion, ColumnExtremes, Conversion, Convert, Precision, Rotation};
use rdt_schema::{DatasetCard, STATE_DIM};

use crate::support::card;

fn there_and_back(convert: &[Convert], extremes: Option<&ColumnExtremes>, values: &[f64]) -> Vec<f64> {
    let conversion = Conversion::new(convert, extremes, Precision::Double);
    conversion.invert(&conversion.apply(values))
}

fn close(found: &[f64], expected: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(found.len(), expected.len());
    for (x, y) in found.iter().zip(expected) {
        prop_assert!((x - y).abs() <= tolerance, "{:?} but {:?} went in", found, expected);
    }
    Ok(())
}

/// An axis times an angle of less than half a turn: the one of its rotation.
fn axis_angle() -> impl Strategy<Value = Vec<f64>> {
    (proptest::array::uniform3(-1.0f64..1.0), 0.0f64..3.1).prop_filter_map("an axis", |(axis, angle)| {
        let length = axis.iter().map(|x| x * x).sum::<f64>().sqrt();
        (length > 1e-3).then(|| axis.iter().map(|x| x / length * angle).collect())
    })
}

proptest! {
    #[test]
    fn linear_conversions(
        values in proptest::collection::vec(-10.0f64..10.0, 3),
        factor in proptest::collection::vec(0.01f64..20.0, 3),
        offset in proptest::collection::vec(-5.0f64..5.0, 3),
    ) {
        let steps = [
            Convert::Scale(factor.iter().map(|x| -x).collect()),
            Convert::Offset(offset),
            Convert::Divide(factor),
        ];
        close(&there_and_back(&steps, None, &values), &values, 1e-9)?;
    }

    #[test]
    fn scaling_by_extremes(values in proptest::collection::vec(-10.0f64..10.0, 2), low in -3.0f64..0.0, high in 0.1f64..3.0) {
        let extremes = ColumnExtremes { min: vec![-10.0, -12.0], max: vec![10.0, 11.0] };
        let steps = [Convert::MinMax([low, high])];
        let unified = Conversion::new(&steps, Some(&extremes), Precision::Double).apply(&values);
        prop_assert!(unified.iter().all(|x| (low - 1e-12..=high + 1e-12).contains(x)));
        close(&there_and_back(&steps, Some(&extremes), &values), &values, 1e-9)?;
    }

    #[test]
    fn mirrored_fingers(opening in 0.0f64..0.08) {
        let steps = [Convert::Sum(vec![1.0, -1.0]), Convert::Divide(vec![0.08])];
        let fingers = [opening / 2.0, -opening / 2.0];
        close(&there_and_back(&steps, None, &fingers), &fingers, 1e-15)?;
    }

    #[test]
    fn clipping_gives_back_what_it_let_through(value in -3.0f64..3.0) {
        let found = there_and_back(&[Convert::Clip([-1.0, 1.0])], None, &[value]);
        prop_assert_eq!(found[0], value.clamp(-1.0, 1.0));
    }

    #[test]
    fn scaled_axis_angles(vector in axis_angle()) {
        // As LIBERO's actions: the half turn is reached at twice the value.
        let doubled: Vec<f64> = vector.iter().map(|x| x * 2.0).collect();
        let steps = [Convert::Scale(vec![0.5; 3]), Convert::RotationFrom(Rotation::AxisAngle)];
        close(&there_and_back(&steps, None, &doubled), &doubled, 1e-9)?;
    }

    #[test]
    fn small_axis_angles_keep_their_digits(axis in proptest::array::uniform3(-1.0f64..1.0), exponent in -12i32..-2) {
        let tiny: Vec<f64> = axis.iter().map(|x| x * 10f64.powi(exponent)).collect();
        let largest = tiny.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let found = there_and_back(&[Convert::RotationFrom(Rotation::AxisAngle)], None, &tiny);
        close(&found, &tiny, largest * 1e-9 + 1e-15)?;
    }

    #[test]
    fn other_rotations(vector in axis_angle()) {
        let to_six = Conversion::new(&[Convert::RotationFrom(Rotation::AxisAngle)], None, Precision::Double);
        let six = to_six.apply(&vector);
        for form in [Rotation::QuaternionXyzw, Rotation::QuaternionWxyz, Rotation::EulerXyz, Rotation::Matrix] {
            let conversion = Conversion::new(&[Convert::RotationFrom(form)], None, Precision::Double);
            let recorded = conversion.invert(&six);
            prop_assert_eq!(recorded.len(), form.width());
            close(&conversion.apply(&recorded), &six, 1e-12)?;
        }
    }

    #[test]
    fn a_libero_action_survives_the_way_through_the_vector(
        position in proptest::array::uniform3(-1.0f64..1.0),
        turn in proptest::array::uniform3(-1.0f64..1.0),
        gripper in -1.0f64..1.0,
    ) {
        let card = card("libero");
        let recorded = [&position[..], &turn[..], &[gripper]].concat();
        back_by_card(&card, &recorded, 2e-6)?;
    }

    #[test]
    fn an_agilex_action_survives_the_way_through_the_vector(recorded in proptest::array::uniform14(-3.0f64..12.0)) {
        back_by_card(&card("agilex"), &recorded, 2e-6)?;
    }
}

/// A recorded row of the card's one action array, to the vector in f32 and back.
fn back_by_card(card: &DatasetCard, recorded: &[f64], tolerance: f64) -> Result<(), TestCaseError> {
    let mut output = [0.0f32; STATE_DIM];
    for mapping in &card.action {
        let mut values = Vec::new();
        mapping.take_into(recorded, &mut values);
        let unified = Conversion::new(&mapping.convert, None, card.precision).apply(&values);
        for (&entry, value) in mapping.entries.iter().zip(unified) {
            output[usize::from(entry)] = value as f32;
        }
    }
    let actions = CardConversion::new(card, None).action_from_unified(&output);
    prop_assert_eq!(actions.len(), 1);
    let values: Option<Vec<f64>> = actions[0].values.iter().copied().collect();
    close(&values.unwrap_or_default(), recorded, tolerance)
}

#[test]
fn a_column_that_nobody_maps_is_said_to_be_open() {
    let text = "control_freq: 0\nfiles: \"*\"\nstate: [{array: q, width: 4, columns: [2, 0], to: [arm_joint_0_pos, \
                arm_joint_1_pos]}]\nwindow: {actions: next_state}\ninstruction: {from: [text: Go.]}\n";
    let card = DatasetCard::from_text(text, Path::new("next.yaml")).expect("a card");
    let mut output = [0.0; STATE_DIM];
    (output[0], output[1]) = (0.5, 0.25);
    let actions = CardConversion::new(&card, None).action_from_unified(&output);
    assert_eq!(actions[0].array, "q");
    assert_eq!(actions[0].values, [Some(0.25), None, Some(0.5), None]);
}

#[test]
fn a_column_that_never_changes_goes_to_the_middle() {
    let extremes = ColumnExtremes { min: vec![3.0], max: vec![3.0] };
    let conversion = Conversion::new(&[Convert::MinMax([-1.0, 1.0])], Some(&extremes), Precision::Double);
    assert_eq!(conversion.apply(&[3.0]), [0.0]);
    assert_eq!(conversion.invert(&[0.3]), [3.0]);
}
